import logging

import cv2
import numpy as np
import pytest
from mmengine.logging import MMLogger
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import TRANSFORMS
from torch.utils.data import DataLoader


@pytest.fixture
def folder(tmp_path):
    """Three whole images, and one each cut short, of text, and empty."""
    rng = np.random.default_rng(0)
    folder = tmp_path / 'class_a'
    folder.mkdir()
    for i in range(4):
        cv2.imwrite(
            str(folder / f'{i}.jpg'), rng.integers(0, 256, (40, 30, 3)))
    whole = (folder / '3.jpg').read_bytes()
    (folder / '3.jpg').write_bytes(whole[:len(whole) // 2])
    (folder / '4.jpg').write_text('Not found')
    (folder / '5.jpg').write_bytes(b'')
    return folder


def load(path, **kwargs):
    transform = TRANSFORMS.build(dict(type='LoadIntactImage', **kwargs))
    return transform(dict(img_path=str(path)))


def test_whole_image_is_what_opencv_reads(folder):
    results = load(folder / '0.jpg')
    image = cv2.imread(str(folder / '0.jpg'))
    assert results['img_shape'] == results['ori_shape'] == (40, 30)
    # decoders may round differently
    difference = np.abs(results['img'].astype(int) - image)
    assert difference.max() <= 2


@pytest.mark.parametrize('backend', ['pillow', 'torchvision'])
@pytest.mark.parametrize('name', ['3.jpg', '4.jpg', '5.jpg', 'missing.jpg'])
def test_evaluation_stops_at_a_damaged_image(folder, name, backend):
    message = f"Image '{folder}/{name}' cannot be read .*: replace the file"
    with pytest.raises(OSError, match=message):
        load(folder / name, imdecode_backend=backend)


def test_evaluation_stops_where_opencv_finds_no_image(folder):
    with pytest.raises(OSError, match=r'\(it holds no image\): replace'):
        load(folder / '4.jpg', imdecode_backend='cv2')


@pytest.mark.parametrize('num_workers', [0, 2])
def test_training_goes_on_and_names_and_counts(folder, num_workers, capfd):
    MMLogger.get_instance('test_loading', log_level=logging.INFO)
    dataset = CustomDataset(
        data_root=str(folder.parent),
        pipeline=[dict(type='LoadIntactImage', ignore_empty=True)])
    loader = DataLoader(
        dataset,
        batch_size=1,
        num_workers=num_workers,
        collate_fn=lambda batch: batch[0]['img_path'])
    whole = [str(folder / f'{i}.jpg') for i in range(3)]
    for _ in range(2):
        paths = list(loader)
        assert len(paths) == 6
        assert paths[:3] == whole and set(paths[3:]) <= set(whole)
    printed = capfd.readouterr()
    printed = printed.out + printed.err
    for name in ('3.jpg', '4.jpg', '5.jpg'):
        assert f"Image '{folder}/{name}' cannot be read" in printed
    number = dataset.pipeline.transforms[0].num_damaged.item()
    # another image may be a damaged one again
    assert number >= 6
    assert f'and {number} such files were met so far' in printed


def test_evaluation_of_a_folder_never_drops_an_image(folder):
    dataset = CustomDataset(
        data_root=str(folder.parent),
        test_mode=True,
        pipeline=[dict(type='LoadIntactImage')])
    loader = DataLoader(dataset, num_workers=1, collate_fn=list)
    with pytest.raises(OSError, match=f"Image '{folder}/3.jpg' cannot be"):
        list(loader)
