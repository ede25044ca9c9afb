"""Pillow's filter and mmcv's sizes, in planes."""
import cv2
import numpy as np
import pytest
from mmpretrain.registry import TRANSFORMS

from intr_mm.datasets import PlanarResize


def photo(height, width):
    """Noise at all scales."""
    rng, img = np.random.default_rng(0), 0
    for edge in (8, 40, 200):
        noise = rng.integers(0, 86, (edge, edge, 3)).astype(np.uint8)
        img = img + cv2.resize(noise, (width, height))
    return img


def run(img, **cfg):
    return TRANSFORMS.build(cfg)(dict(img=img, img_shape=img.shape[:2]))


@pytest.mark.parametrize('shape', [(375, 500), (500, 333), (1200, 900), (1, 1),
                                   (3, 400)])
@pytest.mark.parametrize('scale', [
    dict(scale=(1333, 800), keep_ratio=True),
    dict(scale=(224, 256)),
    dict(scale=97),
])
@pytest.mark.parametrize('backend, tolerance', [('pillow', 0), ('torch', 2)])
def test_as_mmcv_by_pillow(shape, scale, backend, tolerance):
    img = photo(*shape)
    expected = run(img, type='Resize', backend='pillow', **scale)
    found = run(img, type='PlanarResize', backend=backend, **scale)
    difference = np.abs(found.pop('img').astype(int) - expected.pop('img'))
    # Pillow and PyTorch round in both directions, and weights apart.
    assert difference.max() <= tolerance
    assert difference.mean() < .25
    for key in expected:
        assert found[key] == pytest.approx(expected[key]), key


def test_fine_patterns_turn_grey():
    board = np.indices((900, 1200)).sum(0) % 2 * 255
    img = np.repeat(board[..., None], 3, axis=-1).astype(np.uint8)
    assert np.abs(run(img, type='PlanarResize', scale=150)['img'] -
                  127.5).max() < 20


@pytest.mark.parametrize('backend', ['pillow', 'torch'])
def test_packing_copies_nothing(backend):
    # as a view of another array
    img = photo(60, 80)[::-1, 5:]
    view = run(img, type='PlanarResize', scale=32, backend=backend)
    packed = TRANSFORMS.build(dict(type='PackInputs'))(view)['inputs']
    assert packed.is_contiguous() and packed.shape == (3, 32, 32)
    assert np.shares_memory(packed.numpy(), view['img'])


def test_what_is_not_done_is_told():
    with pytest.raises(ValueError, match="'torch' or 'pillow', but is 'cv2'"):
        PlanarResize(32, backend='cv2')
    for img in (photo(8, 8)[..., 0], photo(8, 8).astype(np.float32)):
        with pytest.raises(ValueError, match='of uint8, not .*LoadIntactIma'):
            run(img, type='PlanarResize', scale=32)
