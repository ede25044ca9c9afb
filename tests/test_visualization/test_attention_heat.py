"""The heat must lie where the cells are, and padding must be cut away."""
import cv2
import numpy as np
import pytest
import torch
from mmpretrain.models import ImageClassifier
from torch import nn

from intr_mm.models import (BaseExplainingHead, Decoded, INTRClassifier,
                            explain_batch)
from intr_mm.structures import CellGeometry


def peak(heat):
    return np.unravel_index(heat.argmax(), heat.shape)


def one_cell(grid, cell):
    attention = np.zeros((1, *grid), dtype=np.float32)
    attention[0][cell] = 1
    return attention


@pytest.mark.parametrize('geometry, pixel', [
    (CellGeometry(32, 0), (96, 160)),
    (CellGeometry(32, 16), (112, 176)),
])
def test_peak_lies_on_the_centre_of_its_cell(geometry, pixel):
    attention = one_cell((7, 9), (3, 5))
    heat = geometry.resample(attention, (224, 288), (224, 288))[0]
    assert peak(heat) == pixel
    assert heat[pixel] == 1


def test_plain_resize_is_half_a_cell_off():
    """What the geometry is for: stride 32 of padded convolutions."""
    attention = one_cell((7, 9), (3, 5))
    plain = cv2.resize(attention[0], (288, 224))
    heat = CellGeometry(32, 0).resample(attention, (224, 288), (224, 288))[0]
    y, x = np.mgrid[:224, :288]
    shift = [((plain - heat) * axis).sum() / heat.sum() for axis in (y, x)]
    assert shift == pytest.approx([15.5, 15.5], abs=.01)


def test_patch_embedding_is_a_plain_resize():
    """Where a resize is right, both agree at every pixel."""
    attention = np.random.default_rng(0).random((2, 6, 8), dtype=np.float32)
    heat = CellGeometry(16, 7.5).resample(attention, (96, 128), (96, 128))
    for values, expected in zip(heat, attention):
        np.testing.assert_allclose(
            values, cv2.resize(expected, (128, 96)), atol=1e-5)


def test_scale_of_the_original_image():
    """A pixel p of the input is (p + .5) * original / input - .5 of it."""
    attention = one_cell((5, 5), (2, 3))
    heat = CellGeometry(8, 0).resample(attention, (40, 40), (120, 200))[0]
    # (16 + .5) * 3 - .5 and (24 + .5) * 5 - .5
    assert peak(heat) == (49, 122)


def test_nearest_cell_beyond_the_outer_centres():
    attention = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    heat = CellGeometry(8, 3.5).resample(attention, (16, 24), (16, 24))[0]
    assert (heat[:3, :3] == 0).all() and (heat[-3:, -3:] == 5).all()
    single = CellGeometry(8, 0).resample(
        np.ones((1, 1, 1), dtype=np.float32), (8, 8), (4, 4))
    assert (single == 1).all()


class Quadrants(nn.Module):
    """Backbone of stride 8 whose feature is the brightness of each cell."""

    def __init__(self):
        super().__init__()
        self.pool = nn.AvgPool2d(8)

    def forward(self, x):
        return (self.pool(x), )


class BrightestCell(BaseExplainingHead):
    """Two attention heads look where it is bright, in every class."""
    num_classes, num_layers, num_heads = 9, 3, 2

    def pre_logits(self, feats):
        return feats[-1]

    def decode(self, memory, padding_mask=None, layers=()):
        logits = torch.arange(9.).expand(len(memory), -1)
        return Decoded(logits, memory, padding_mask, logits.long(),
                       dict.fromkeys(layers))

    def maps(self, decoded, classes=None, layer=-1):
        light = decoded.memory.mean(1, keepdim=True)[:, None]
        if decoded.padding_mask is not None:
            light = light.masked_fill(decoded.padding_mask[:, None, None], 0)
        light = light / light.sum((-2, -1), keepdim=True)
        return light.expand(-1, classes.size(1), 2, -1, -1)


@pytest.mark.parametrize('kind, preprocessor', [
    (ImageClassifier, 'ClsDataPreprocessor'),
    (INTRClassifier, 'INTRDataPreprocessor'),
])
def test_padding_is_cut_away(kind, preprocessor):
    """Cells whose corner is padding go; the others keep their place."""
    model = kind(
        backbone=dict(type='ResNet', depth=18),
        data_preprocessor=dict(
            type=preprocessor, pad_size_divisor=64, pad_value=0))
    model.backbone, model.head = Quadrants(), BrightestCell()
    image = torch.zeros(3, 44, 72, dtype=torch.uint8)
    image[:, 20, 60] = 255
    (sample, ), _ = explain_batch(
        model.eval(), [image], classes=(4, 'pred', 7), layers=(2, ))
    assert sample.attention_classes.tolist() == [4, 8, 7]
    assert sample.attention.shape == (1, 3, 2, 6, 9)
    attention, geometry = sample.attention[0].numpy(), sample.geometry
    assert geometry == CellGeometry(8, 3.5)
    heat = geometry.resample(attention[0], (44, 72), (88, 144))[0]
    y, x = peak(heat)
    # The cell of the pixel is centred on (19.5, 59.5), at twice the scale
    # (39.5, 119.5).
    assert abs(y - 39.5) <= 1 and abs(x - 119.5) <= 1
