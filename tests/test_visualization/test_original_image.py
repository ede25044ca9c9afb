import mmcv
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmpretrain.registry import TRANSFORMS

from intr_mm.engine.hooks.attention_visualization_hook import original_image


@pytest.fixture
def photo(tmp_path):
    """File and RGB values of a picture of 60 x 90 pixels."""
    image = np.random.default_rng(0).integers(
        0, 256, (60, 90, 3), dtype=np.uint8)
    path = tmp_path / 'photo.png'
    mmcv.imwrite(image[..., ::-1], str(path))
    return str(path), image


def run(path, *transforms):
    pipeline = [
        dict(type='LoadImageFromFile'), *transforms,
        dict(type='PackInputs')
    ]
    packed = Compose([TRANSFORMS.build(cfg) for cfg in pipeline])(
        dict(img_path=path, sample_idx=0))
    return packed['inputs'], packed['data_samples']


@pytest.mark.parametrize('transforms', [
    [],
    [dict(type='ResizeEdge', scale=37, edge='short')],
    [dict(type='Resize', scale=(50, 31), keep_ratio=True)],
    [dict(type='Resize', scale=(32, 32))],
])
def test_file_where_it_was_only_resized(photo, transforms):
    path, image = photo
    np.testing.assert_array_equal(
        original_image(*run(path, *transforms)), image)


@pytest.mark.parametrize('transforms', [
    [dict(type='CenterCrop', crop_size=40)],
    [
        dict(type='ResizeEdge', scale=44, edge='short'),
        dict(type='CenterCrop', crop_size=40)
    ],
    [dict(type='RandomFlip', prob=1.)],
])
def test_input_where_it_shows_another_view(photo, transforms):
    inputs, sample = run(photo[0], *transforms)
    expected = inputs.flip(0).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(original_image(inputs, sample), expected)


def test_input_where_there_is_no_readable_file(photo, tmp_path):
    inputs, sample = run(photo[0])
    broken = tmp_path / 'broken.png'
    broken.write_bytes(b'no picture')
    sample.set_metainfo(dict(img_path=str(broken)))
    np.testing.assert_array_equal(original_image(inputs, sample), photo[1])
    del sample.img_path
    assert torch.equal(
        torch.from_numpy(original_image(inputs, sample).copy()),
        torch.from_numpy(photo[1]))
