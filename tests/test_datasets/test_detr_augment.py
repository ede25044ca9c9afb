"""One resampling shows what DETR's two show."""
import cv2
import numpy as np
import pytest
from mmcv.transforms.utils import cache_random_params
from mmdet.datasets.transforms import RandomCrop
from mmengine.dataset import Compose
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from intr_mm.datasets import DETRAugment


def detr(backend):
    """The same augmentation in the transforms of mmcv and mmdet."""
    resize = dict(
        type='RandomChoiceResize',
        resize_type='Resize',
        keep_ratio=True,
        backend=backend)
    multi_scale = dict(
        resize, scales=[(1333, short) for short in range(480, 801, 32)])
    crop = [
        dict(resize, scales=[(100000, short) for short in (400, 500, 600)]),
        dict(
            type=RandomCrop, crop_type='absolute_range', crop_size=(384, 600)),
        multi_scale,
    ]
    return Compose([
        TRANSFORMS.build(cfg) for cfg in (
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='RandomChoice', transforms=[[multi_scale], crop]))
    ])


def run(transform, img, seed):
    np.random.seed(seed)
    shape = img.shape[:2]
    return transform(dict(img=img, img_shape=shape, ori_shape=shape))


def coordinates(shape):
    """An image whose values are the places of its pixels."""
    y, x = np.mgrid[:shape[0], :shape[1]].astype(np.float32)
    return np.stack([x, y, x + y], axis=-1)


@pytest.mark.parametrize('shape', [(75, 100), (375, 500), (1500, 1100),
                                   (30, 400)])
def test_views_are_those_of_two_steps(shape):
    """Seeds draw the same views, and no pixel lies a pixel elsewhere."""
    two_steps, one_step, img = detr('cv2'), DETRAugment(), coordinates(shape)
    flips = set()
    for seed in range(8):
        expected, view = (
            run(transform, img, seed) for transform in (two_steps, one_step))
        assert view['img_shape'] == expected['img_shape']
        assert view['img'].shape == expected['img'].shape
        for key in ('flip', 'flip_direction', 'scale', 'keep_ratio'):
            assert view[key] == expected[key], key
        difference = np.abs(view['img'] - expected['img'])[..., :2]
        # A pixel of the view or of the image, whichever is larger.
        pixel = max(1, *np.reciprocal(view['scale_factor']))
        assert difference.max() < pixel
        assert difference.mean() < .4 * pixel
        flips.add(view['flip'])
    assert flips == {True, False}


def test_scale_factor_counts_from_the_image():
    img = coordinates((375, 500))
    for seed in range(8):
        view = run(DETRAugment(), img, seed)
        inner = view['img'][5:-5, 5:-5]
        steps = (np.diff(inner[..., 0],
                         axis=1), np.diff(inner[..., 1], axis=0))
        measured = [1 / abs(step.mean()) for step in steps]
        assert measured == pytest.approx(view['scale_factor'], rel=.01)


@pytest.mark.parametrize('backend, tolerance', [('pillow', 1), ('cv2', 2)])
def test_whole_images_are_what_pillow_makes(backend, tolerance):
    """Exactly with its own filter, and nearly with OpenCV's."""
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    img = cv2.resize(noise, (500, 375), interpolation=cv2.INTER_CUBIC)
    transform, whole = DETRAugment(backend=backend), 0
    for seed in range(12):
        view = run(transform, img, seed)
        height, width = view['img_shape']
        if view['scale_factor'] != (width / 500, height / 375):
            continue
        whole += 1
        source = img[:, ::-1] if view['flip'] else img
        expected = np.asarray(
            Image.fromarray(source).resize((width, height), Image.BILINEAR))
        if backend == 'pillow':
            assert np.array_equal(view['img'], expected)
        else:
            difference = np.abs(view['img'].astype(int) - expected)
            assert difference.max() <= tolerance
    assert whole >= 3


def test_parts_are_nearly_what_pillow_makes_in_two_steps():
    img = coordinates((120, 200)).astype(np.uint8)
    for seed in range(8):
        expected, view = (
            run(transform, img, seed)['img'].astype(int)
            for transform in (detr('pillow'), DETRAugment(backend='pillow')))
        # Each step rounds to a level, which is a pixel or half of one here.
        assert np.abs(view - expected)[..., :2].max() <= 1


def test_large_images_are_averaged():
    """A fine chequerboard turns grey instead of into waves."""
    board = np.indices((2000, 3000)).sum(0) % 2 * 255
    img = np.repeat(board[..., None], 3, axis=-1).astype(np.uint8)
    for seed in range(4):
        view = run(DETRAugment(max_size=900), img, seed)['img']
        assert np.abs(view - 127.5).max() < 20


@pytest.mark.parametrize('shape', [(1, 1), (1, 3), (2, 1)])
@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_tiny_images(shape, backend):
    img = np.full((*shape, 3), 9, np.uint8)
    for seed in range(10):
        view = run(DETRAugment(backend=backend), img, seed)
        assert view['img'].shape[:2] == view['img_shape']
        assert (view['img'] == 9).all()


def test_packing_copies_nothing():
    view = run(DETRAugment(), np.zeros((75, 100, 3), np.uint8), 0)
    packed = TRANSFORMS.build(dict(type='PackInputs'))(view)['inputs']
    assert packed.is_contiguous()
    assert np.shares_memory(packed.numpy(), view['img'])


def test_randomness_can_be_shared():
    """Two images of a size get one view in mmcv's context."""
    transform, img = DETRAugment(), coordinates((75, 100))
    with cache_random_params(transform):
        views = [run(transform, img, seed)['img'] for seed in range(4)]
    assert all(np.array_equal(view, views[0]) for view in views[1:])


def test_what_is_not_done_is_told():
    with pytest.raises(ValueError, match="'cv2' or 'pillow', but is 'turbo'"):
        DETRAugment(backend='turbo')
    with pytest.raises(ValueError, match="but not its 'gt_bboxes': take it"):
        DETRAugment()(
            dict(img=np.zeros((4, 4, 3), np.uint8), gt_bboxes=[[0, 0, 1, 1]]))
