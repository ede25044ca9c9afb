"""Data folders are looked at before anything is built."""
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS

from intr_mm.command_line import (check_data_folders, leave_out_unreadable,
                                  merge_options)
from ..tiny import write_birds


def dataset(root, **kwargs):
    return dict(type='CustomDataset', data_root=root, **kwargs)


def config(data_root, **kwargs):
    dataset = dict(
        type='CustomDataset', data_root=str(data_root), data_prefix='train')
    return Config(dict(train_dataloader=dict(dataset=dict(dataset, **kwargs))))


def test_missing_folder(tmp_path):
    message = rf"{tmp_path}/train'.* not exist.*train_dataloader\.dataset\."
    with pytest.raises(FileNotFoundError, match=message):
        check_data_folders(config(tmp_path), 'train_dataloader')


def test_empty_folder_inside_wrappers(tmp_path):
    (tmp_path / 'train').mkdir()
    inner = config(tmp_path).train_dataloader.dataset
    cfg = config(
        '',
        type='ConcatDataset',
        datasets=[dict(type='RepeatDataset', times=2, dataset=inner)])
    with pytest.raises(FileNotFoundError, match="train'.* empty"):
        check_data_folders(cfg, 'train_dataloader')
    (tmp_path / 'train' / 'class_a').mkdir()
    (tmp_path / 'train' / 'class_a' / '1.jpg').touch()
    check_data_folders(cfg, 'train_dataloader')


@pytest.mark.parametrize('wrap, place', [
    (lambda leaf, change: dict(leaf, **change), ''),
    (lambda leaf, change: dict(
        type='RepeatDataset', times=2, dataset=dict(leaf, **change)),
     '.dataset'),
    (lambda leaf, change: dict(
        type='ConcatDataset',
        datasets=[
            leaf,
            dict(type='RepeatDataset', times=2, dataset=dict(leaf, **change))
        ]), '.datasets.1.dataset'),
])
@pytest.mark.parametrize('change, options', [
    (dict(metainfo=dict(classes=('b', 'a'))), dict(type='ImageFolders')),
    (dict(data_prefix='odd'), dict(type='ImageFolders')),
    (dict(data_prefix='absent'), dict(data_root='.', data_prefix='birds')),
])
def test_remedies_name_the_data_set_in_its_wrappers(tmp_path, monkeypatch,
                                                    wrap, place, change,
                                                    options):
    monkeypatch.chdir(tmp_path)
    for folder in ('birds/a', 'birds/b', 'odd/a', 'odd/b', 'odd/__MACOSX'):
        (tmp_path / folder).mkdir(parents=True)
        write_birds(tmp_path / folder, (8, 8))
    (tmp_path / 'odd/__MACOSX/bird_0.png').unlink()
    leaf = dataset('', data_prefix='birds')
    cfg = Config(dict(train_dataloader=dict(dataset=wrap(leaf, change))))
    name, place = [*options][0], f'train_dataloader.dataset{place}'
    with pytest.raises((ValueError, OSError), match=f' `?{place}.{name}='):
        check_data_folders(cfg, 'train_dataloader')
    merge_options(cfg, {f'{place}.{key}': options[key] for key in options})
    check_data_folders(cfg, 'train_dataloader')


def test_cub_in_its_own_format():
    cfg = config('no/such', type='mmpretrain.CUB')
    cfg.train_dataloader.dataset.pop('data_prefix')
    with pytest.raises(FileNotFoundError, match="no/such'"):
        check_data_folders(cfg, 'train_dataloader')


@pytest.mark.parametrize('dataset', [
    dict(type='CIFAR10', data_root='no/such', data_prefix='no/such'),
    dict(type='CustomDataset', data_root='s3://bucket/birds'),
])
def test_what_need_not_be_on_the_disk(dataset):
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    check_data_folders(cfg, 'train_dataloader', 'val_dataloader')


@pytest.fixture
def damaged(tmp_path):
    """A data set of two classes, where of each three birds the second is
    cut."""
    for name in ('crow', 'wren'):
        write_birds(tmp_path / name, (20, 30), (20, 30), (20, 30))
        cut = tmp_path / name / 'bird_1.png'
        cut.write_bytes(cut.read_bytes()[:-99])
    return dict(
        type='ImageFolders',
        data_root=str(tmp_path),
        pipeline=[dict(type='LoadIntactImage')])


def left(dataset):
    """What a test reads of it, and why the rest is left out."""
    cfg = Config(dict(test_dataloader=dict(dataset=dataset)))
    errors = leave_out_unreadable(cfg, 'test_dataloader')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = DATASETS.build(cfg.test_dataloader.dataset)
    return [
        '/'.join(data[i]['img_path'].split('/')[-2:])
        for i in range(len(data))
    ], errors


BIRDS = [f'{name}/bird_{i}.png' for name in ('crow', 'wren') for i in (0, 2)]


@pytest.mark.parametrize('indices, found, number', [
    (None, BIRDS, 2),
    (5, BIRDS[:3], 2),
    (-3, BIRDS[2:], 1),
    ([5, 4, 0], [BIRDS[3], BIRDS[0]], 1),
    ([0, 2], BIRDS[:2], 0),
])
def test_what_cannot_be_read_is_left_out(damaged, indices, found, number):
    paths, errors = left(dict(damaged, indices=indices))
    assert paths == found and len(errors) == number
    assert all("bird_1.png' cannot be read" in error for error in errors)


def test_each_of_several_data_sets_is_narrowed(damaged):
    parts = [damaged, dict(damaged, indices=[2, 1])]
    paths, errors = left(dict(type='ConcatDataset', datasets=parts))
    assert paths == [*BIRDS, BIRDS[1]] and len(errors) == 3


@pytest.mark.parametrize('change, message', [
    (dict(indices=[1, 4]), 'None of the 2 images of test_dataloader'),
    (dict(pipeline=[dict(type='LoadImageFromFile')]), 'put it at the beginn'),
    (dict(type='KFoldDataset', dataset=dict(type='ImageFolders')), 'folds'),
])
def test_what_cannot_be_narrowed(damaged, change, message):
    with pytest.raises(ValueError, match=message):
        left(dict(damaged, **change))
