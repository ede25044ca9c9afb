"""Figures of several photos, or of two classes, as papers have them."""
from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from intr_mm.structures import Explanation
from .figures import (EVIDENCE_UNIT, choose_heads, describe, layer_words,
                      name_of)
from .heat import attention_scale, difference_scale, signed_scale
from .layout import build_figure
from .panel_grid import Panel
from .style import SCREEN, FigureStyle

# in nats: a tenth of the odds
_LEAST_EVIDENCE = .1


def gallery_figure(explanations: Sequence[Explanation],
                   label: int,
                   class_names: Sequence[str] | None = None,
                   head: int | str = 'mean',
                   place: int = 0,
                   style: FigureStyle = SCREEN) -> Figure:
    """One class and the same head over photos, each beside its map, on one
    scale.

    Args:
        explanations: Of the class, in one of their layers; of evidence where
            it is given.
        label: The class.
        class_names: Names of all classes. None shows indices.
        head: The head, from 0 on, or ``'mean'``, of evidence the sum.
        place: Which of the explanations' layers to draw.
        style: How the figure looks. Without ``columns``, all photos are in
            one row on a screen.

    Returns:
        Matplotlib's figure; the class's score stands below each map.
    """
    row, scale = [], None
    for explanation in explanations:
        values, heading, scale = _values(explanation, [label], head, place,
                                         style)
        row += [
            Panel(explanation.image, heading=_photo_name(explanation)),
            _map(explanation, values[0], '',
                 f'score {explanation.scores[label]:.2f}')
        ]
    title = (f'{name_of(class_names, label)}, {heading}' +
             layer_words(explanations[0], place))
    return build_figure([row], [''], title, [scale], style, group=2)


def comparison_figure(explanation: Explanation,
                      one: int,
                      other: int,
                      class_names: Sequence[str] | None = None,
                      head: int | str = 'mean',
                      place: int = 0,
                      style: FigureStyle = SCREEN) -> Figure:
    """Two classes on one photo, and their difference.

    The difference of attention is in multiples of even attention, that of
    evidence adds up to the difference of the two logits.

    Args:
        explanation: Of both classes.
        one: The class from which is subtracted.
        other: The other class.
        class_names: Names of all classes. None shows indices.
        head: The head, from 0 on, or ``'mean'``, of evidence the sum.
        place: Which of the explanation's layers to draw.
        style: How the figure looks.

    Returns:
        Matplotlib's figure.
    """
    values, heading, scale = _values(explanation, (one, other), head, place,
                                     style)
    evidence = explanation.evidence is not None
    cells = [*values, values[0] - values[1]]
    sums = [f'sum {c.sum():+.2f}' if evidence else '' for c in cells]
    names = [describe(explanation, class_names, i) for i in (one, other)]
    panels = [
        _map(explanation, *args)
        for args in zip(cells, [*names, 'difference'], sums)
    ]
    scales = [scale]
    if not evidence:
        panels[-1].scale = 1
        scales.append(
            partial(
                difference_scale,
                label='difference / uniform',
                quantile=style.quantile))
    title = (f'{explanation.name}: {name_of(class_names, one)} minus '
             f'{name_of(class_names, other)}, {heading}' +
             layer_words(explanation, place))
    return build_figure([[Panel(explanation.image), *panels]], [''], title,
                        scales, style)


def traits_figure(explanations: Sequence[Explanation],
                  label: int,
                  heads: Sequence[int],
                  class_names: Sequence[str] | None = None,
                  place: int = 0,
                  crop: float = .3,
                  style: FigureStyle = SCREEN) -> Figure:
    """What heads of a class look at: photos, and below them a row for each
    head, with the part of each photo around the peak of its map.

    By evidence, below each part stands what it adds to the class's logit, of
    all that the head adds on the photo. A part that adds less than 0.1 nats,
    which is a tenth of the odds, is no trait: it is pale, and has no frame.

    Args:
        explanations: Of the class, in one of their layers; by their evidence
            where it is given.
        label: The class.
        heads: The heads, from 0 on, such as those that
            :func:`intr_mm.evaluation.rank_heads` puts first.
        class_names: Names of all classes. None shows indices.
        place: Which of the explanations' layers to draw.
        crop: Width and height of a part, as share of the photo's.
        style: How the figure looks. ``columns`` photos stand in a row.

    Returns:
        Matplotlib's figure.
    """
    columns = style.columns or len(explanations)
    by_evidence = explanations[0].evidence is not None
    rows, labels = [], []
    for start in range(0, len(explanations), columns):
        part = explanations[start:start + columns]
        maps = [[
            _values(explanation, [label], head, place, style)[0][0]
            for head in heads
        ] for explanation in part]
        boxes = [[_around_peak(explanation, cells, crop) for cells in mine]
                 for explanation, mine in zip(part, maps)]
        added = [[
            _sum_within(explanation, *args) if by_evidence else None
            for args in zip(*both)
        ] for explanation, *both in zip(part, maps, boxes)]
        rows.append([
            Panel(
                explanation.image,
                heading=_photo_name(explanation),
                caption=f'score {explanation.scores[label]:.2f}',
                boxes=[(box, str(head))
                       for box, head, nats in zip(mine, heads, sums)
                       if nats is None or nats >= _LEAST_EVIDENCE])
            for explanation, mine, sums in zip(part, boxes, added)
        ])
        labels.append('photo')
        for i, head in enumerate(heads):
            rows.append([
                _part(_cut(explanation.image, mine[i]), sums[i], cells[i])
                for explanation, mine, sums, cells in zip(
                    part, boxes, added, maps)
            ])
            labels.append(f'head {head}')
    title = (f'{name_of(class_names, label)}: where its heads peak' +
             layer_words(explanations[0], place))
    if by_evidence:
        title += ('; below each part, what it adds to the logit (nats), of '
                  'all that the head adds')
    return build_figure(rows, labels, title, style=style)


def _values(explanation: Explanation, labels: Sequence[int], head: int | str,
            place: int, style: FigureStyle):
    """Maps (K, h, w) of a head, its name, and what makes their scale."""
    rows = [explanation.classes.index(label) for label in labels]
    settings = dict(quantile=style.quantile, cmap=style.cmap)
    if explanation.evidence is not None:
        evidence = explanation.evidence[rows]
        scale = partial(signed_scale, label=EVIDENCE_UNIT, **settings)
        if head == 'mean':
            return evidence.sum(1), 'evidence', scale
        maps, headings = choose_heads(evidence, [head])
        return maps[:, 0], headings[0][0], scale
    maps, headings = choose_heads(explanation.maps[place][rows], [head])
    scale = partial(attention_scale, **settings)
    return maps[:, 0] * maps[0, 0].size, headings[0][0], scale


def _photo_name(explanation: Explanation) -> str:
    return explanation.name.replace('_', ' ')


def _map(explanation: Explanation, cells: np.ndarray, heading: str,
         caption: str) -> Panel:
    return Panel(explanation.image, cells, explanation.geometry,
                 explanation.img_shape, heading, caption)


def _around_peak(explanation: Explanation, values: np.ndarray,
                 crop: float) -> tuple[float, float, float, float]:
    """Left, top, width and height in shares of the photo, within it."""
    cell = np.unravel_index(values.argmax(), values.shape)
    top, left = (min(max(places[i] - crop / 2, 0), 1 - crop)
                 for i, places in zip(cell, _cell_places(explanation, values)))
    return left, top, crop, crop


def _cell_places(explanation: Explanation, values: np.ndarray):
    """Where rows and columns of cells are centred, in shares of the photo."""
    geometry = explanation.geometry
    return [(geometry.stride * np.arange(number) + geometry.offset + .5) / size
            for number, size in zip(values.shape, explanation.img_shape)]


def _sum_within(explanation: Explanation, values: np.ndarray,
                box: tuple[float, float, float, float]) -> float:
    """Sum of the cells that are centred in a part of the photo."""
    y, x = _cell_places(explanation, values)
    left, top, width, height = box
    rows, columns = (top <= y) & (y <= top + height), (left <= x) & (
        x <= left + width)
    return float(values[np.ix_(rows, columns)].sum())


def _part(image: np.ndarray, nats: float | None, cells: np.ndarray) -> Panel:
    """A part of a photo, pale where it adds nothing to speak of."""
    if nats is None:
        return Panel(image, heading='')
    caption = f'{nats:+.2f} of {cells.sum():+.2f}'
    if nats < _LEAST_EVIDENCE:
        image = (.25 * image + .75 * 255).astype(np.uint8)
        caption += (': against'
                    if nats <= -_LEAST_EVIDENCE else ': negligible')
    return Panel(image, heading='', caption=caption)


def _cut(image: np.ndarray, box: tuple[float, float, float,
                                       float]) -> np.ndarray:
    height, width = image.shape[:2]
    left, top, right, bottom = (round(
        share *
        n) for share, n in zip((box[0], box[1], box[0] + box[2], box[1] +
                                box[3]), (width, height, width, height)))
    return image[top:max(bottom, top + 1), left:max(right, left + 1)]
