"""Data folders are looked at before anything is built."""
import pytest
from mmengine.config import Config

from intr_mm.command_line import check_data_folders


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
