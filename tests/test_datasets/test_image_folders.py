"""Folders as people have them: what is taken, named or refused."""
import os

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmpretrain.registry import DATASETS

from intr_mm.command_line import check_data_folders
from intr_mm.datasets.image_folders import list_folder, some

FIELDS = ('train_dataloader', 'val_dataloader')


@pytest.fixture
def root(tmp_path):
    for split in ('train', 'val'):
        for name in ('ant', 'bee'):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for ending in ('jpg', 'webp', 'tiff'):
                cv2.imwrite(
                    str(folder / f'1.{ending}'), np.zeros((9, 9, 3), np.uint8))
    return tmp_path


@pytest.fixture
def printed(monkeypatch):
    """What the tools tell."""
    texts = []
    monkeypatch.setattr('intr_mm.command_line.data_folders.print_log',
                        lambda text, *_: texts.append(text))
    return texts


def config(root, kind='ImageFolders', **kwargs):
    return Config({
        field:
        dict(
            dataset=dict(
                type=kind,
                data_root=str(root),
                data_prefix=field[:-len('_dataloader')],
                **kwargs))
        for field in FIELDS
    })


def clutter(folder):
    """Everything that is no image."""
    (folder / 'readme.txt').touch()
    (folder / 'ant' / 'notes.csv').touch()
    (folder / 'ant' / 'Makefile').touch()
    (folder / 'ant' / '.DS_Store').touch()
    (folder / 'ant' / '._1.jpg').touch()
    for name in ('.ipynb_checkpoints', '__MACOSX', 'bee/.thumbs'):
        (folder / name).mkdir()
        (folder / name / '1.jpg').touch()
    os.mkfifo(folder / 'bee' / 'pipe.jpg')
    (folder / 'bee' / 'loop.jpg').symlink_to('loop.jpg')
    (folder / 'bee' / 'gone.jpg').symlink_to('/nowhere/1.jpg')
    (folder / 'bee' / 'again').symlink_to(folder / 'bee')
    (folder / 'bee' / 'dir.jpg').mkdir()
    (folder / 'bee' / 'dir.jpg' / '2.JPG').touch()


def test_a_cluttered_folder(root, printed):
    clutter(root / 'train')
    dataset = DATASETS.build(config(root).train_dataloader.dataset)
    assert dataset.metainfo['classes'] == ('ant', 'bee')
    paths = [
        os.path.relpath(dataset.get_data_info(i)['img_path'], root / 'train')
        for i in range(len(dataset))
    ]
    assert paths == [
        'ant/1.jpg', 'ant/1.tiff', 'ant/1.webp', 'bee/1.jpg', 'bee/1.tiff',
        'bee/1.webp', 'bee/dir.jpg/2.JPG'
    ]
    assert dataset.get_gt_labels().tolist() == [0, 0, 0, 1, 1, 1, 1]

    check_data_folders(config(root), *FIELDS)
    table, = printed
    for words in ('| train_dataloader |', '| 2       | 7      |',
                  '1 file .csv', '1 file .txt', '1 file without ending',
                  'ignored: .ipynb_checkpoints, __MACOSX, bee/.thumbs',
                  '4 such as no file: bee/again, bee/gone.jpg, bee/loop.jpg, '
                  'bee/pipe.jpg'):
        assert words in table


def test_links_to_folders_are_followed(root):
    (root / 'train' / 'bee').rename(root / 'elsewhere')
    (root / 'train' / 'bee').symlink_to(root / 'elsewhere')
    assert len(list_folder(str(root / 'train')).images['bee']) == 3


def test_classes_on_one_side_only_stand_in_the_table(root, printed):
    (root / 'val' / 'bee').rename(root / 'val' / 'wasp')
    check_data_folders(config(root), *FIELDS)
    train, val = [
        line for line in printed[0].splitlines() if '_dataloader' in line
    ]
    assert '| bee ' in train and '| wasp ' in val


def remove_images(folder):
    for path in folder.iterdir():
        path.unlink()


def rename_images(folder):
    for path in folder.iterdir():
        path.rename(path.with_suffix('.img'))


@pytest.mark.parametrize('kind', ['ImageFolders', 'CustomDataset'])
@pytest.mark.parametrize('change, message', [
    (lambda root: remove_images(root / 'train' / 'bee'),
     "train. of train_dataloader holds no image of the class 'bee', but noth"),
    (lambda root: remove_images(root / 'val' / 'bee'),
     "val. of val_dataloader holds no image of the class 'bee', but nothing"),
    (lambda root: rename_images(root / 'train' / 'bee'),
     "the class 'bee', but 1 file .img"),
    (lambda root: (root / 'train').rename(root / 'x'), 'train. .*not exist'),
])
def test_folders_that_make_no_training(root, kind, change, message):
    if kind == 'CustomDataset':  # which takes no others
        for path in (*root.glob('*/*/*.webp'), *root.glob('*/*/*.tiff')):
            path.unlink()
    change(root)
    with pytest.raises((ValueError, OSError), match=message):
        check_data_folders(config(root, kind), *FIELDS)


def test_images_without_class_folders(root):
    for path in (root / 'train' / 'ant').iterdir():
        path.rename(root / 'train' / path.name)
    for name in ('ant', 'bee'):
        remove_images(root / 'train' / name)
        (root / 'train' / name).rmdir()
    with pytest.raises((ValueError), match='no class folders, but 3 images'):
        check_data_folders(config(root), *FIELDS)
    with pytest.raises(ValueError, match='no class folder with images'):
        DATASETS.build(config(root).train_dataloader.dataset)


def test_what_would_make_a_class_of_a_custom_dataset(root):
    (root / 'train' / '.ipynb_checkpoints').mkdir()
    message = "'.ipynb_checkpoints', which CustomDataset would take for a cla"
    with pytest.raises(ValueError, match=message):
        check_data_folders(config(root, 'CustomDataset'), *FIELDS)


def test_a_link_to_itself_does_not_stop_a_custom_dataset(root):
    (root / 'train' / 'bee' / 'loop.jpg').symlink_to('loop.jpg')
    cfg = config(root, 'CustomDataset')
    check_data_folders(cfg, *FIELDS)
    assert len(DATASETS.build(cfg.train_dataloader.dataset)) == 6


def test_names_of_classes_have_to_fit(root):
    cfg = config(root, metainfo=dict(classes=('a', 'b', 'c')))
    with pytest.raises(ValueError, match='2 class folders, but .* names 3'):
        DATASETS.build(cfg.train_dataloader.dataset)


def test_names_in_another_order_stay_with_their_folders(root):
    cfg = config(root, metainfo=dict(classes=('bee', 'ant')))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        name = os.path.basename(os.path.dirname(info['img_path']))
        assert dataset.metainfo['classes'][info['gt_label']] == name


@pytest.mark.parametrize('names', [
    dict(metainfo=dict(classes=('bee', 'ant'))),
    dict(classes=('bee', 'ant')),
    dict(classes=('bee', 'wasp')),
])
def test_a_custom_dataset_would_call_a_folder_by_the_name_of_another(
        root, names):
    message = "folder '(ant|bee)', which CustomDataset would .*=ImageFolders"
    with pytest.raises(ValueError, match=message):
        check_data_folders(config(root, 'CustomDataset', **names), *FIELDS)
    for fitting in ('ant', 'bee'), ('Ameise', 'Biene'), ('ant', 'honey bee'):
        cfg = config(root, 'CustomDataset', metainfo=dict(classes=fitting))
        check_data_folders(cfg, *FIELDS)


def test_names_of_a_custom_dataset_from_a_file(root):
    file = root / 'classes.txt'
    file.write_text('bee\nant\n')
    for names in (dict(classes=str(file)),
                  dict(metainfo=dict(classes=str(file)))):
        with pytest.raises(ValueError, match="folder 'ant', which Custom"):
            check_data_folders(config(root, 'CustomDataset', **names), *FIELDS)


def test_other_names_are_those_of_sorted_folders(root):
    for names in (('Ameise', 'Biene'), ('ant', 'honey bee')):
        cfg = config(root, metainfo=dict(classes=names))
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        assert dataset.get_gt_labels().tolist() == [0, 0, 0, 1, 1, 1]
    cfg = config(root, metainfo=dict(classes=('bee', 'wasp')))
    with pytest.raises(ValueError, match="folder 'bee', which .* name all"):
        DATASETS.build(cfg.train_dataloader.dataset)


def test_endings_in_any_case(root):
    for path in root.glob('*/*/1.jpg'):
        path.rename(path.with_suffix('.Jpg'))
    cfg = config(root, extensions=('.JPG', '.webp'))
    check_data_folders(cfg, *FIELDS)
    assert len(DATASETS.build(cfg.train_dataloader.dataset)) == 4


def test_some_of_many_names():
    assert some(['a', 'b']) == 'a, b'
    assert some([*'abcdefgh']) == 'a, b, c, d, e and 3 more'
