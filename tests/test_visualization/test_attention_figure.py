import numpy as np
import pytest

from intr_mm.structures import CellGeometry
from intr_mm.visualization import FigureStyle, draw_attention


def panels(picture):
    """Cut the panels out: all that is not white around the first row's."""
    red = (picture == (255, 0, 0)).all(-1)
    rows, columns = np.nonzero(red)
    top, bottom = rows.min(), rows.max() + 1
    ink = (picture[top + 1] != 255).any(-1)
    edges = np.flatnonzero(np.diff(ink.astype(int))) + 1
    starts, ends = edges[::2], edges[1::2]
    chosen = starts >= columns.min() - 1
    return [
        picture[top:bottom, start:end]
        for start, end in zip(starts[chosen], ends[chosen])
    ]


@pytest.mark.parametrize('shape', [(96, 144), (144, 96)])
def test_panels_and_place_of_the_heat(shape):
    image = np.zeros((*shape, 3), dtype=np.uint8)
    image[..., 0] = 255
    attention = np.zeros((1, 2, shape[0] // 8, shape[1] // 8))
    attention[0, 0, 3, 4] = 1
    attention[0, 1, 6, 9] = 1
    picture = draw_attention(
        image,
        attention,
        CellGeometry(8, 0),
        shape, ['a class'],
        'true: a\npredicted: b',
        style=FigureStyle(quantile=1))
    assert picture.dtype == np.uint8
    first, *maps = panels(picture)[:4]
    assert (first[2:-2, 2:-2] == (255, 0, 0)).all()
    assert first.shape[1] / first.shape[0] == pytest.approx(
        shape[1] / shape[0], rel=.02)
    for head, peaks in zip(maps, [[(24, 32)], [(48, 72)], [(24, 32),
                                                           (48, 72)]]):
        # how much lighter a pixel is than the veiled image
        heat = head.astype(int).sum(-1)
        heat -= int(np.median(heat))
        scale = np.array(heat.shape) / shape
        for y, x in peaks:
            expected = (np.array([y, x]) + .5) * scale - .5
            window = np.zeros_like(heat)
            low, high = (expected - 6 * scale), (expected + 6 * scale)
            where = tuple(slice(int(a), int(b) + 1) for a, b in zip(low, high))
            window[where] = heat[where]
            found = np.unravel_index(window.argmax(), window.shape)
            assert window.max() > 60
            # One pixel of the image, and the edge of the panel.
            assert np.abs(found - expected).max() <= scale.max() + 1
        assert heat[2:-2, 2:-2].min() == 0


def test_number_of_panels():
    image = np.full((60, 60, 3), (255, 0, 0), dtype=np.uint8)
    for heads in (1, 8):
        attention = np.full((1, heads, 5, 5), 1 / 25)
        picture = draw_attention(image, attention, CellGeometry(12, 0),
                                 (60, 60), ['a'], 'a')
        # the image, the heads and their mean
        assert len(panels(picture)) >= heads + 2


def test_heads_and_classes_share_one_scale():
    """Half the attention is drawn as half, not as the maximum of its map."""
    image = np.full((60, 60, 3), (255, 0, 0), dtype=np.uint8)
    attention = np.full((1, 2, 5, 5), 1e-9)
    attention[0, 0, 2, 2] = 1
    attention[0, 1, 2, 2] = attention[0, 1, 0, 0] = .2
    picture = draw_attention(image, attention, CellGeometry(12, 6), (60, 60),
                             ['a'], 'a')
    _, strong, weak, _ = panels(picture)[:4]
    middle = len(strong) // 2
    # The brightest end of the colours is yellow.
    assert strong[middle, middle, 1] > weak[middle, middle, 1] + 30


def test_names_are_no_formulas():
    image = np.zeros((60, 60, 3), dtype=np.uint8)
    attention = np.full((1, 1, 2, 2), .25)
    draw_attention(image, attention, CellGeometry(30, 0), (60, 60),
                   ['of $^$ kind'], 'of $^$ kind')
