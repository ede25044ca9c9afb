"""Damaged files are noticed; faster decoders give mmcv's pixels."""
import logging

import cv2
import mmcv
import numpy as np
import pytest
from mmengine.logging import MMLogger
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from torch.utils.data import DataLoader

TURNED = 6
ORIENTATION = 0x0112


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


@pytest.mark.parametrize('backend', ['pillow', 'torchvision', 'cv2'])
@pytest.mark.parametrize('name', ['3.jpg', '4.jpg', '5.jpg', 'missing.jpg'])
def test_evaluation_stops_at_a_damaged_image(folder, name, backend):
    message = f"Image '{folder}/{name}' cannot be read .*: replace the file"
    with pytest.raises(OSError, match=message):
        load(folder / name, imdecode_backend=backend)


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


@pytest.fixture
def photo():
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    return Image.fromarray(cv2.resize(noise, (800, 600)))


def write(image, path, turned=False, **kwargs):
    if turned:
        exif = Image.Exif()
        exif[ORIENTATION] = TURNED
        kwargs['exif'] = exif
    image.save(path, **kwargs)
    return path


@pytest.mark.parametrize('backend', ['pillow', 'torchvision'])
@pytest.mark.parametrize('mode, name, options', [
    ('RGB', 'a.jpg', dict()),
    ('RGB', 'a.jpg', dict(subsampling=0)),
    ('RGB', 'a.jpg', dict(progressive=True, quality=40)),
    ('RGB', 'a.jpg', dict(turned=True)),
    ('L', 'a.jpg', dict()),
    ('CMYK', 'a.jpg', dict()),
    ('RGB', 'a.png', dict()),
])
def test_pixels_are_those_of_mmcv(photo, tmp_path, backend, mode, name,
                                  options):
    path = write(photo.convert(mode), tmp_path / name, **options)
    expected = mmcv.imread(str(path), backend='pillow')
    results = load(path, imdecode_backend=backend)
    assert np.array_equal(results['img'], expected)
    assert results['img'].flags.c_contiguous
    assert results['img'].flags.writeable
    assert results['ori_shape'] == results['img_shape'] == expected.shape[:2]
    converted = load(path, imdecode_backend=backend, to_float32=True)['img']
    assert converted.dtype == np.float32
    assert np.array_equal(converted, expected)


@pytest.mark.parametrize('min_edge, divisor', [(601, 1), (301, 1), (300, 2),
                                               (150, 4), (75, 8), (10, 8)])
@pytest.mark.parametrize('turned', [False, True])
def test_large_files_are_reduced(photo, tmp_path, min_edge, divisor, turned):
    path = write(photo, tmp_path / 'a.jpg', turned)
    results = load(path, min_edge=min_edge, ignore_empty=True)
    shape = (800, 600) if turned else (600, 800)
    assert results['ori_shape'] == shape
    assert results['img_shape'] == results['img'].shape[:2]
    assert results['img_shape'] == tuple(edge // divisor for edge in shape)
    whole = mmcv.imread(str(path), backend='pillow')
    expected = mmcv.imresize(
        whole, results['img_shape'][::-1], interpolation='area')
    difference = np.abs(results['img'].astype(int) - expected)
    assert difference.mean() < 1


@pytest.mark.parametrize('mode, name', [('L', 'a.jpg'), ('CMYK', 'a.jpg'),
                                        ('RGB', 'a.png')])
def test_other_files_are_reduced_or_whole(photo, tmp_path, mode, name):
    path = write(photo.convert(mode), tmp_path / name)
    results = load(path, min_edge=300, ignore_empty=True)
    divisor = 2 if name == 'a.jpg' else 1
    assert results['img'].shape == (600 // divisor, 800 // divisor, 3)
    assert results['ori_shape'] == (600, 800)


def test_damage_is_noticed_in_reduced_files(photo, tmp_path):
    path = write(photo, tmp_path / 'a.jpg')
    path.write_bytes(path.read_bytes()[:-2000])
    loader = TRANSFORMS.build(
        dict(type='LoadIntactImage', min_edge=75, ignore_empty=True))
    assert loader(dict(img_path=str(path))) is None
    assert loader.num_damaged == 1


@pytest.mark.parametrize('options, message', [
    (dict(min_edge=224), 'min_edge=224 reduces images, .* training'),
    (dict(imdecode_backend='torchvision',
          color_type='grayscale'), "need color_type='color', not 'grayscale'"),
    (dict(min_edge=224, ignore_empty=True,
          color_type='unchanged'), "need color_type='color', not 'unchanged'"),
    (dict(imdecode_backend='pilow'), 'no imdecode_backend=.pilow.: choose'),
    (dict(color_type='rgb'), 'no color_type=.rgb.: choose one of color, '),
    (dict(file_client_args=dict(backend='disk')), 'give backend_args'),
])
@pytest.mark.filterwarnings('ignore:"file_client_args"')
def test_what_is_not_done_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        TRANSFORMS.build(dict(type='LoadIntactImage', **options))
