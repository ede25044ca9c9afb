"""Figures as a journal prints them."""
import itertools
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from intr_mm.structures import CellGeometry
from intr_mm.visualization import (FigureStyle, comparison_figure,
                                   draw_explanation, explanation_figure,
                                   gallery_figure, memory_figure, render,
                                   save_figure, traits_figure)
from intr_mm.visualization.figure_files import file_name
from .report_data import EVIDENCE, EXPLANATIONS, NAMES

# One photo is upright, one is called by many words.
PHOTOS = [
    replace(EXPLANATIONS[i], name=f'a_photo_of_a_bird_{i}') for i in (0, 3, 4)
]
PHOTOS[1].image = np.ascontiguousarray(PHOTOS[1].image.swapaxes(0, 1))
PHOTOS[1].maps = PHOTOS[1].maps.swapaxes(-1, -2)
PHOTOS[1].img_shape = PHOTOS[1].img_shape[::-1]
PEAKED = np.full((1, 3, 3, 5, 7), .001, np.float32)
PEAKED[..., 1, 4] = 1
FIGURES = dict(
    heads=lambda style: explanation_figure(
        EXPLANATIONS[3], NAMES, style=style),
    evidence=lambda style: explanation_figure(
        EVIDENCE[3], NAMES, heads='best4', style=style),
    gallery=lambda style: gallery_figure(
        PHOTOS, 1, NAMES, head=2, style=style),
    comparison=lambda style: comparison_figure(
        EXPLANATIONS[3], 0, 1, NAMES, style=style),
    traits=lambda style: traits_figure(PHOTOS, 1, [2, 1], NAMES, style=style))


def texts(figure):
    """What can be read in a figure, with its place in pixels."""
    figure.draw_without_rendering()
    found = list(figure.texts)
    for ax in figure.axes:
        found += [ax.title, *ax.texts]
        if not ax.images:  # a colour bar
            low, high = ax.get_xlim()
            found += [ax.xaxis.label] + [
                tick.label1 for tick in ax.xaxis.get_major_ticks()
                if low <= tick.get_loc() <= high
            ]
    return [(text, text.get_window_extent()) for text in found
            if text.get_text()]


def panels(figure):
    return [ax for ax in figure.axes if ax.images]


@pytest.mark.parametrize('width', [45, 85, 170])
@pytest.mark.parametrize('kind', FIGURES)
def test_type_at_the_width_of_a_journal(kind, width):
    """No type is below 6 pt, cut off, or over other type."""
    figure = FIGURES[kind](FigureStyle(width_mm=width, dpi=100))
    assert figure.get_figwidth() * 25.4 == pytest.approx(width)
    found = texts(figure)
    assert len(found) > 8
    for text, box in found:
        assert text.get_fontsize() >= 6
        assert box.x0 > -1 and box.x1 < figure.bbox.width + 1, text
        assert box.y0 > -1 and box.y1 < figure.bbox.height + 1, text
    bars = [ax for ax in figure.axes if not ax.images]
    assert all(len(ax.get_xticks()) > 1 for ax in bars)
    # numbers in the frames of traits may lie over each other
    apart = [box for text, box in found if not text.get_path_effects()]
    for one, other in itertools.combinations(apart, 2):
        overlap = min(one.x1, other.x1) - max(one.x0, other.x0), min(
            one.y1, other.y1) - max(one.y0, other.y0)
        assert min(overlap) < 2


def test_rows_are_broken_to_columns():
    figure = explanation_figure(
        EXPLANATIONS[3], NAMES, style=FigureStyle(columns=2))
    titles = [ax.get_title() for ax in panels(figure)]
    assert titles == ['image', 'head 0', 'head 1', 'head 2', 'mean'] * 3
    corners = {round(ax.get_position().x0, 3) for ax in panels(figure)}
    assert len(corners) == 2
    # a photo and its map stay together
    figure = gallery_figure(PHOTOS, 1, NAMES, style=FigureStyle(columns=3))
    heights = [round(ax.get_position().y0, 2) for ax in panels(figure)]
    assert len(set(heights)) == 3


@pytest.mark.parametrize('columns', [1, 3])
def test_columns_of_a_gallery_are_pairs(columns):
    """No photo lies without its map, no map outside, no column is empty."""
    figures = [
        gallery_figure(PHOTOS, 1, NAMES, style=FigureStyle(columns=number))
        for number in (columns, 2)
    ]
    one, two = ([ax.get_position().bounds for ax in panels(figure)]
                for figure in figures)
    assert one == two
    assert all(x + width < 1 for x, _, width, _ in one)
    assert max(x + width for x, _, width, _ in one) > .95


def test_columns_that_do_not_fit_are_refused():
    style = FigureStyle(width_mm=20, columns=5)
    with pytest.raises(ValueError, match='20 mm have no room for 5 columns'):
        explanation_figure(EXPLANATIONS[3], NAMES, style=style)


def test_colour_bars_that_do_not_fit_are_refused():
    style = FigureStyle(width_mm=17, columns=2)
    with pytest.raises(ValueError, match='17 mm have no room for a colour ba'):
        FIGURES['gallery'](style)


@pytest.mark.parametrize('heads, headings', [
    ([2, 0], ['head 2', 'head 0']),
    (['mean', 1], ['head 1', 'mean']),
])
def test_heads_by_number(heads, headings):
    figure = explanation_figure(EXPLANATIONS[3], NAMES, heads=heads)
    assert [ax.get_title()
            for ax in panels(figure)[:3]] == ['image', *headings]
    with pytest.raises(ValueError, match='Head 3 is not there: .* 0 to 2'):
        explanation_figure(EXPLANATIONS[3], NAMES, heads=[3])


@pytest.mark.parametrize('place', [0, 1])
def test_numbers_are_those_of_arrays(place):
    explanation = EXPLANATIONS[3]
    figure = explanation_figure(explanation, NAMES, place)
    assert figure.texts[0].get_text().splitlines()[1].endswith(
        f'decoder\N{NO-BREAK SPACE}layer\N{NO-BREAK SPACE}{place}')
    for head, ax in enumerate(panels(figure)[1:4]):
        assert ax.get_title() == f'head {head}'
        heat = ax.images[1].get_array()
        cells = explanation.maps[place, 0, head]
        np.testing.assert_allclose(
            heat,
            explanation.geometry.resample(cells * cells.size,
                                          explanation.img_shape, heat.shape),
            rtol=1e-4)


def test_style():
    plain = explanation_figure(EXPLANATIONS[3], NAMES, heads='mean')
    styled = explanation_figure(
        EXPLANATIONS[3],
        NAMES,
        heads='mean',
        style=FigureStyle(
            titles=False, cmap='viridis', contours=True, quantile=1))
    np.testing.assert_array_equal(
        render(plain), draw_explanation(EXPLANATIONS[3], NAMES, heads='mean'))
    assert [text.get_text() for text in plain.texts[1:]
            ] == [text.get_text() for text in styled.texts]
    one, other = panels(plain)[1], panels(styled)[1]
    assert not one.collections and other.collections
    assert one.images[1].cmap.name == 'inferno'
    assert other.images[1].cmap.name == 'viridis'
    heat = [
        ax.images[1].get_array().max() for ax in panels(styled)
        if len(ax.images) > 1
    ]
    assert other.images[1].norm.vmax == pytest.approx(max(10, *heat))


def test_contours_tell_the_sign():
    figure = explanation_figure(
        EVIDENCE[3], NAMES, heads='mean', style=FigureStyle(contours=True))
    drawn = [lines for ax in panels(figure) for lines in ax.collections]
    levels = np.concatenate([lines.levels for lines in drawn])
    assert levels.min() < 0 < levels.max()
    for lines in drawn:
        for level, (_, dashes) in zip(lines.levels, lines.get_linestyle()):
            assert (dashes is not None) == (level < 0)


@pytest.mark.parametrize('place', [0, 1])
@pytest.mark.parametrize('draw', [
    lambda one, **kwargs: gallery_figure([one], 1, **kwargs),
    lambda one, **kwargs: comparison_figure(one, 0, 1, **kwargs),
    lambda one, **kwargs: traits_figure([one], 1, [0], **kwargs)
])
def test_titles_name_the_layer(draw, place):
    title = draw(EXPLANATIONS[3], place=place).texts[0].get_text()
    assert title.endswith(
        f'decoder\N{NO-BREAK SPACE}layer\N{NO-BREAK SPACE}{place}')
    # a head that gives evidence has one layer
    assert 'layer' not in draw(EVIDENCE[3]).texts[0].get_text()


@pytest.mark.parametrize('explanation', [EXPLANATIONS[3], EVIDENCE[3]])
def test_comparison(explanation):
    figure = comparison_figure(explanation, 1, 2, NAMES)
    photo, *maps = panels(figure)
    assert len(photo.images) == 1
    one, other, difference = (ax.images[1] for ax in maps)
    np.testing.assert_allclose(
        one.get_array() - other.get_array(), difference.get_array(), atol=1e-4)
    evidence = explanation.evidence is not None
    assert (one.norm is difference.norm) == evidence
    values = explanation.evidence.sum(1) if evidence else (
        35 * explanation.maps[0].mean(1))
    shape = one.get_array().shape
    np.testing.assert_allclose(
        one.get_array(),
        explanation.geometry.resample(values[1], (80, 120), shape),
        rtol=1e-4,
        atol=1e-5)
    if evidence:
        sums = [ax.texts[0].get_text() for ax in maps]
        assert sums == [
            f'sum {value:+.2f}'
            for value in (values[1].sum(), values[2].sum(),
                          values[1].sum() - values[2].sum())
        ]


def test_traits_are_cut_around_the_peak():
    """The cell (1, 4) is centred on the pixel (19.5, 67.5) of the 80x120 of
    the input: (14.6, 50.6) of the photo's 60x90."""
    image = np.zeros((60, 90, 3), np.uint8)
    image[14, 50] = 255
    photo = replace(
        EXPLANATIONS[3], image=image, maps=PEAKED, classes=[0, 1, 2])
    figure = traits_figure([photo], 1, [2, 1], NAMES, crop=.2)
    whole, *crops = panels(figure)
    assert [text.get_text() for text in whole.texts[1:]] == ['2', '1']
    for crop in crops:
        light = crop.images[0].get_array()[..., 0].astype(float)
        y, x = np.unravel_index(light.argmax(), light.shape)
        assert abs(y / light.shape[0] - .5) < .1
        assert abs(x / light.shape[1] - .5) < .1
    # at the border a part has its whole size
    corner = replace(photo, geometry=CellGeometry(1, 0))
    frame = panels(traits_figure([corner], 1, [1], NAMES,
                                 crop=.2))[0].patches[0]
    assert frame.get_xy() == (-.5, -.5)


def test_traits_say_what_they_add():
    """Of three heads, one adds at its peak, one elsewhere, and one takes."""
    evidence = np.zeros((3, 3, 5, 7), np.float32)
    evidence[1, 0, 1, 4], evidence[1, 0, 4, 0] = 2, -.5
    evidence[1, 1] = .002
    evidence[1, 2] = -.2
    photo = replace(EVIDENCE[3], evidence=evidence)
    figure = traits_figure([photo], 1, [0, 1, 2], NAMES, crop=.4)
    whole, *crops = panels(figure)
    assert [text.get_text() for text in whole.texts[1:]] == ['0']
    # of 80x120 pixels, in cells of 16, a part holds two by three cells
    captions = [crop.texts[0].get_text() for crop in crops]
    assert captions == [
        '+2.00 of +1.50', '+0.01 of +0.07: negligible',
        '-1.20 of -7.00: against'
    ]
    light = [crop.images[0].get_array().min() for crop in crops]
    assert light[0] < 64 and min(light[1:]) > 128
    assert 'below each part, what' in figure.texts[0].get_text()


def test_figure_of_memory_takes_a_style():
    memory = np.random.default_rng(0).uniform(1, 2, (2, 4, 5, 7))
    figure = memory_figure(
        replace(EXPLANATIONS[3], memory=memory),
        NAMES,
        style=FigureStyle(width_mm=85))
    assert figure.get_figwidth() == pytest.approx(85 / 25.4)


@pytest.mark.parametrize('suffix', ['.pdf', '.svg', '.png'])
def test_files(tmp_path, suffix):
    style = FigureStyle(width_mm=85, dpi=60, columns=2)
    data = []
    for name in 'ab':
        path = tmp_path / 'new' / f'{name}{suffix}'
        save_figure(FIGURES['gallery'](style), path)
        data.append(path.read_bytes())
    assert data[0] == data[1]  # nothing of the day
    ax = panels(FIGURES['gallery'](style))[0]
    width = ax.images[0].get_array().shape[1]
    if suffix == '.pdf':
        assert b'/Type3' not in data[0]
        # photo, grey photo and map keep their pixels
        sizes = re.findall(rb'/Width (\d+)', data[0])
        assert sizes.count(b'%d' % width) >= 3
        box = re.search(rb'/MediaBox \[ ?0 0 ([\d.]+)', data[0])[1]
        assert float(box) == pytest.approx(85 / 25.4 * 72, abs=.1)
    elif suffix == '.svg':
        assert b'score 0.' in data[0] and b'<text' in data[0]
    else:
        picture = cv2.imdecode(np.frombuffer(data[0], np.uint8), 1)
        assert picture.shape[1] == pytest.approx(85 / 25.4 * 60, abs=1)


def test_a_file_for_each_panel(tmp_path):
    figure = explanation_figure(
        EXPLANATIONS[3], ['a/b', *NAMES[1:]],
        heads='mean',
        style=FigureStyle(dpi=60))
    before = render(figure)
    save_figure(figure, tmp_path / 'x.png', panels=True)
    found = {path.name: cv2.imread(str(path)) for path in tmp_path.iterdir()}
    score = EXPLANATIONS[3].scores[0]
    assert f'x_1-2_a-b-{score:.2f}_mean.png' in found
    assert 'x_scale_1.png' in found and len(found) == 3 * 2 + 1
    ax = panels(figure)[1]
    height, width = ax.images[1].get_array().shape
    for name, picture in found.items():
        if 'scale' not in name:
            # of the photo alone: no white rim, no type
            assert abs(picture.shape[0] - height) <= 1
            assert abs(picture.shape[1] - width) <= 1
            assert (picture[2:-2, 2:-2].min(-1) < 255).any(0).all()
    np.testing.assert_array_equal(render(figure), before)


@pytest.mark.filterwarnings('ignore:Glyph')
def test_long_names_fit_a_file_system(tmp_path):
    """Of 255 bytes, where a character of these takes three."""
    names = ['白' * 80 + str(i) for i in range(6)]
    figure = explanation_figure(
        EXPLANATIONS[3], names, heads='mean', style=FigureStyle(dpi=10))
    for i in range(2):
        stem = '鳥' * 70 + str(i)
        save_figure(figure, tmp_path / f'{stem}.png', panels=True)
    found = [path.name for path in tmp_path.iterdir()]
    assert len(found) == 2 * (3 * 2 + 1)  # none in place of another
    assert all(name.startswith('鳥') and name.isprintable() for name in found)
    name = file_name('attention', 'val', 3, *names)
    assert 150 < len(name.encode()) <= 200


@pytest.mark.parametrize('parts, name', [
    (('a b/c', '', 3), 'a-b-c_3'),
    (('../up', 'Grün.1'), 'up_Grün.1'),
    (('x' * 99, ), 'x' * 60),
    (('a' + '白' * 99, ), 'a' + '白' * 19),
])
def test_file_names(parts, name):
    assert file_name(*parts) == name
