import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from intr_mm.apis.image_inputs import unique_stems, visible_region
from ..tiny import write_birds


def test_folder(inferencer, tmp_path):
    write_birds(tmp_path, (96, 96), (96, 120))
    (tmp_path / 'bird_1.png').rename(tmp_path / 'a_BIRD.PNG')
    (tmp_path / 'notes.txt').write_text('no image')
    (tmp_path / 'deeper').mkdir()
    write_birds(tmp_path / 'deeper', (96, 96))
    for folder in (tmp_path, str(tmp_path)):
        samples = inferencer(folder, return_datasamples=True, batch_size=2)
        assert [s.img_path for s in samples] == [
            str(tmp_path / 'a_BIRD.PNG'),
            str(tmp_path / 'bird_0.png')
        ]


def test_folder_without_images(inferencer, tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        inferencer(tmp_path)
    with pytest.raises(FileNotFoundError, match='gone'):
        inferencer(str(tmp_path / 'gone'))


def test_unreadable_image_is_named(inferencer, tmp_path):
    write_birds(tmp_path, (96, 96))
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(b'no JPEG')
    for call in (inferencer, lambda paths: list(inferencer.explain(paths))):
        with pytest.raises(OSError, match=str(broken)):
            call([str(tmp_path / 'bird_0.png'), str(broken)])


def test_arrays_are_bgr(inferencer, birds):
    path = birds / 'bird_0.png'
    image = cv2.imread(str(path))
    of_file, of_array, of_rgb, of_path = (
        result['pred_scores']
        for result in inferencer([str(path), image, image[..., ::-1], path]))
    np.testing.assert_array_equal(of_file, of_array)
    np.testing.assert_array_equal(of_file, of_path)
    assert not np.allclose(of_file, of_rgb)
    grey = image[..., 0]
    grey, same = inferencer([grey, np.stack([grey] * 3, -1)])
    np.testing.assert_array_equal(grey['pred_scores'], same['pred_scores'])
    # other kinds: see tests/test_datasets/test_image_file.py
    opened = Image.open(path)
    for same in (opened, image / 255, image.transpose(2, 0, 1)):
        result, = inferencer(same)
        np.testing.assert_allclose(of_file, result['pred_scores'], rtol=1e-4)


@pytest.mark.parametrize('image, message', [
    (np.zeros((9, 9, 5)), 'given as ndarray cannot be used: it has the shape'),
    (torch.zeros(3, 9, 9), 'cannot be given as Tensor: give a path or URL'),
    (b'secret', 'cannot be given as bytes: give(?!.*secret)'),
    (None, 'cannot be given as NoneType: give'),
    (dict(path='a.png'), "given as dict has 'img' or 'img_path', but this"),
    (np.array(['a.png']), 'given as ndarray cannot be used: it has the sha'),
    ([7], 'cannot be given as int: give'),
    ([['a.png']], 'cannot be given as list: give'),
])
def test_what_is_no_image_is_refused(inferencer, image, message):
    for call in (inferencer, lambda image: list(inferencer.explain(image))):
        with pytest.raises((TypeError, ValueError), match=message):
            call(image)


@pytest.mark.parametrize('shape', [(1, 5000), (5000, 1)])
def test_a_thin_image_is_refused_at_once(inferencer, tmp_path, shape):
    """Resized to 96 pixels, it would have 480,000 on the other edge."""
    path = tmp_path / 'thin.png'
    cv2.imwrite(str(path), np.zeros((*shape, 3), np.uint8))
    with pytest.raises(OSError, match="thin.png' has .* at most 20 times"):
        inferencer(path)


def test_names_of_what_is_written_are_never_alike():
    paths = ['a/x.jpg', 'b/x.jpg', 'x_0.jpg', 'X_1.png', '', 'y_memory.png',
             'y.jpg', 'Y_layer1.png', 'ä' * 200 + '.jpg']  # yapf: disable
    names = unique_stems(paths)
    assert len({name.casefold() for name in names}) == len(paths)
    assert names[2] == 'x_0' and names[4] == '4' and names[6] == 'y'
    assert not [name for name in names if name.endswith(('memory', 'layer1'))]
    assert all(len(name.encode()) <= 220 for name in names)
    assert unique_stems(['a/bird.png', 'bird.jpg']) == ['bird_0', 'bird_1']


@pytest.mark.parametrize('transforms, expected', [
    ([], ((0, 128), (0, 200))),
    ([dict(type='Resize', scale=(70, 51))], ((0, 128), (0, 200))),
    ([dict(type='Resize', scale=(1333, 400), keep_ratio=True)],
     ((0, 128), (0, 200))),
    ([dict(type='ResizeEdge', scale=64, backend='pillow'),
      dict(type='CenterCrop', crop_size=48)], ((16, 112), (52, 148))),
])  # yapf: disable
def test_visible_region(transforms, expected):
    pipeline = build(*transforms)
    rows, columns = visible_region(pipeline, (128, 200))
    for found, wanted in zip((rows, columns), expected):
        assert (found.start, found.stop) == wanted


def test_large_image_is_placed_to_a_pixel():
    """Several of its pixels share a grey level of the probe."""
    pipeline = build(
        dict(type='ResizeEdge', scale=300, backend='pillow'),
        dict(type='CenterCrop', crop_size=224))
    rows, columns = visible_region(pipeline, (1500, 2000))
    # (300 - 224) / 2 = 38 and (400 - 224) / 2 = 88, fivefold
    for found, wanted in zip((rows, columns), ((190, 1310), (440, 1560))):
        assert abs(found.start - wanted[0]) <= 2
        assert abs(found.stop - wanted[1]) <= 2


def test_tiny_image_is_seen_whole():
    pipeline = build(dict(type='ResizeEdge', scale=96))
    assert visible_region(pipeline, (6, 9)) == (slice(0, 6), slice(0, 9))
    assert visible_region(pipeline, (1, 3)) == (slice(0, 1), slice(0, 3))


def test_flips_are_refused():
    with pytest.raises(ValueError, match='resize and crop'):
        visible_region(
            build(dict(type='RandomFlip', prob=1., direction='horizontal')),
            (64, 64))


def build(*transforms):
    transforms = [*transforms, dict(type='PackInputs')]
    return Compose([TRANSFORMS.build(t) for t in transforms])
