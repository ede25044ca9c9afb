from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from scipy.special import entr

from intr_mm.structures import CellGeometry, Explanation
from .figure_files import render
from .heat import attention_scale, signed_scale
from .layout import build_figure
from .panel_grid import Panel
from .style import SCREEN, FigureStyle

EVIDENCE_UNIT = ('evidence per cell (nats): \N{LEFTWARDS ARROW} against, '
                 'for \N{RIGHTWARDS ARROW}')


def attention_figure(image: np.ndarray,
                     attention: np.ndarray,
                     geometry: CellGeometry,
                     img_shape: tuple[int, int],
                     row_labels: Sequence[str],
                     title: str,
                     headings: Sequence[Sequence[str]] | None = None,
                     unit: str = 'attention / uniform',
                     top: float = 10,
                     style: FigureStyle = SCREEN) -> Figure:
    """Figure of where classes look: image, each head, mean of the heads.

    Each class has a row. All maps share one logarithmic colour scale, so that
    heads and classes can be compared: how many times more attention a place
    receives than if it were spread evenly. What receives less has the scale's
    dark end.

    Args:
        image: RGB image (H, W, 3), uint8, of any scale.
        attention: Maps of shape (K, heads, h, w), each summing to 1, without
            the cells that are padding.
        geometry: Where the cells lie on the network's input.
        img_shape: Height and width in pixels of the network's input without
            padding.
        row_labels: One for each of the K classes.
        title: Title of the picture, of any number of lines.
        headings: For each class the headings of its maps, which are then drawn
            as they are. None numbers the heads and adds their mean.
        unit: What the colours count.
        top: Least upper end of the colour scale.
        style: How the figure looks.

    Returns:
        Matplotlib's figure.
    """
    if headings is None:
        numbers = [f'head {i}' for i in range(attention.shape[1])]
        headings = [[*numbers, 'mean']] * len(attention)
        attention = np.concatenate(
            (attention, attention.mean(1, keepdims=True)), 1)
    h, w = attention.shape[-2:]
    scale = partial(
        attention_scale,
        label=unit,
        top=top,
        quantile=style.quantile,
        cmap=style.cmap)
    rows = _rows(image, attention * (h * w), geometry, img_shape, headings)
    return build_figure(rows, row_labels, title, [scale], style)


def draw_attention(*args, **kwargs) -> np.ndarray:
    """RGB picture, uint8, of :func:`attention_figure`."""
    return render(attention_figure(*args, **kwargs))


def _rows(image, values, geometry, img_shape, headings, captions=None):
    """For each class the photo, and its maps of (K, P, h, w)."""
    return [[
        Panel(image),
        *(Panel(image, cells, geometry, img_shape, heading,
                captions[i][j] if captions else '')
          for j, (cells, heading) in enumerate(zip(row, headings[i])))
    ] for i, row in enumerate(values)]


def explanation_figure(explanation: Explanation,
                       class_names: Sequence[str] | None = None,
                       place: int = 0,
                       heads: str | Sequence[int | str] = 'all',
                       name_layer: bool = True,
                       against: int | str | None = None,
                       style: FigureStyle = SCREEN) -> Figure:
    """Figure of an explanation: a row of maps for each class.

    Where there is evidence, it is drawn in place of attention: what each cell
    speaks for (orange) or against (blue) the class, of each head and in sum,
    and why the one class and not the other. Below each panel stands its sum:
    the class's logit, or the difference of two. The found mass is how much of
    its attention a class spends on the image.

    Args:
        explanation: What to draw.
        class_names: Names of all classes. None shows indices.
        place: Which of the explanation's layers to draw. 0 means the first of
            them.
        heads: See :func:`choose_heads`.
        name_layer: Whether the title names the layer.
        against: What the class of each row is compared with, if there is
            evidence: one of the explanation's classes, or ``'rival'``, the
            best other one of them. None compares the first class with that of
            each row.
        style: How the figure looks.

    Returns:
        Matplotlib's figure.
    """
    labels = [
        describe(explanation, class_names, i) for i in explanation.classes
    ]
    title = _title(explanation, class_names, place if name_layer else None)
    if explanation.layers[place] == max(explanation.layers):
        # words stand for heads and their mean
        joint = isinstance(heads, str) or 'mean' in heads
        title += _even_line(explanation, class_names, joint)
    if explanation.evidence is not None:
        values, headings, captions = _evidence_panels(explanation, class_names,
                                                      heads, against)
        rows = _rows(explanation.image, values, explanation.geometry,
                     explanation.img_shape, headings, captions)
        scale = partial(
            signed_scale,
            label=EVIDENCE_UNIT,
            quantile=style.quantile,
            cmap=style.cmap)
        return build_figure(rows, labels, title, [scale], style)
    maps, headings = choose_heads(explanation.maps[place], heads)
    return attention_figure(
        explanation.image,
        maps,
        explanation.geometry,
        explanation.img_shape,
        labels,
        title,
        headings=headings,
        style=style)


def draw_explanation(*args, **kwargs) -> np.ndarray:
    """RGB picture, uint8, of :func:`explanation_figure`."""
    return render(explanation_figure(*args, **kwargs))


def _evidence_panels(explanation: Explanation,
                     class_names: Sequence[str] | None,
                     heads: str | Sequence[int | str],
                     against: int | str | None):
    """Evidence (K, P, h, w) of heads, their sum and the margin; with the
    heading and the caption of each."""
    evidence = explanation.evidence
    values, headings = _choose(evidence, heads, -np.abs(evidence).sum(
        (-2, -1)), evidence.sum(1, keepdims=True), 'evidence')
    captions = [[f'sum {panel.sum():+.2f}' for panel in row] for row in values]
    if headings[0][-1:] == ['evidence']:
        for row, mass in zip(captions, explanation.found_mass):
            row[-1] += f', found {mass:.2f}'
    pairs = _margins(explanation, against)
    if not pairs:
        return values, headings, captions
    margins = np.stack([(evidence[a] - evidence[b]).sum(0, keepdims=True)
                        for a, b in pairs])
    for row, heading, pair, margin in zip(captions, headings, pairs, margins):
        heading.append('why A and not B')
        one, other = (
            name_of(class_names, explanation.classes[i]) for i in pair)
        row.append(f'{one}, not {other}: {margin.sum():+.2f}')
    return np.concatenate((values, margins), 1), headings, captions


def _margins(explanation: Explanation,
             against: int | str | None) -> list[tuple[int, int]]:
    """For each row the places of the two classes whose margin it shows."""
    classes = explanation.classes
    rows = range(len(classes))
    if len(classes) < 2:
        return []
    if against is None:
        return [(0, row or 1) for row in rows]
    if against == 'rival':
        best = sorted(rows, key=lambda row: -explanation.scores[classes[row]])
        return [(row, best[row == best[0]]) for row in rows]
    other = classes.index(against)
    return [(row if row != other else int(other == 0), other) for row in rows]


def memory_figure(explanation: Explanation,
                  class_names: Sequence[str] | None = None,
                  place: int = 0,
                  style: FigureStyle = SCREEN) -> Figure:
    """Figure of what there is to attend to: see
    :meth:`BaseExplainingHead.memory_norms`.

    Args:
        explanation: With ``memory``.
        class_names: Names of all classes. None shows indices.
        place: Which of the explanation's layers to draw. 0 means the first of
            them.
        style: How the figure looks.

    Returns:
        Matplotlib's figure.
    """
    norms = explanation.memory[place]
    share = norms / norms.sum((-2, -1), keepdims=True)
    values = [f'value {i}' for i in range(len(norms) - 1)]
    return attention_figure(
        explanation.image,
        share[None],
        explanation.geometry,
        explanation.img_shape, ['norm of what is attended to'],
        _title(explanation, class_names, place),
        headings=[['memory - mean', *values]],
        unit='norm / mean norm',
        top=1.5,
        style=style)


def draw_memory(*args, **kwargs) -> np.ndarray:
    """RGB picture, uint8, of :func:`memory_figure`."""
    return render(memory_figure(*args, **kwargs))


def choose_heads(
        maps: np.ndarray, heads: str | Sequence[int | str]
) -> tuple[np.ndarray, list[list[str]]]:
    """Panels of a picture.

    Args:
        maps: Attention of shape (K, heads, h, w).
        heads: ``'all'`` heads and their mean; only the ``'mean'``; or
            ``'best4'``, for each class the four heads with the lowest entropy
            on this image, the most peaked first, and the mean of all; or a
            list of heads, from 0 on, and ``'mean'``.

    Returns:
        Maps (K, P, h, w), and the heading of each.

    Raises:
        ValueError: If ``heads`` is another word, or a head is not there.
    """
    return _choose(maps, heads,
                   entr(maps).sum((-2, -1)), maps.mean(1, keepdims=True),
                   'mean')


def _choose(maps: np.ndarray, heads: str | Sequence[int | str],
            order: np.ndarray, joint: np.ndarray,
            name: str) -> tuple[np.ndarray, list[list[str]]]:
    """See :func:`choose_heads`; the lowest of ``order`` (K, heads) are best,
    and ``joint`` (K, 1, h, w) comes last."""
    rows, num = maps.shape[:2]
    with_joint = True
    if isinstance(heads, str):
        if heads not in ('all', 'mean', 'best4'):
            raise ValueError(
                "heads is 'all', 'mean', 'best4' or a list of numbers, but "
                f'got {heads!r}.')
        if heads == 'best4':
            order = order.argsort(1, kind='stable')[:, :4]
        else:
            order = np.tile(np.arange(num if heads == 'all' else 0), (rows, 1))
    else:
        numbers = [head for head in heads if head != 'mean']
        for head in numbers:
            if head not in range(num):
                raise ValueError(f'Head {head!r} is not there: the layer has '
                                 f'the heads 0 to {num - 1}.')
        with_joint = len(numbers) < len(heads)
        order = np.tile(np.array(numbers, int), (rows, 1))
    chosen = np.take_along_axis(maps, order[..., None, None], axis=1)
    headings = [[f'head {i}' for i in row] for row in order]
    if with_joint:
        chosen = np.concatenate((chosen, joint), 1)
        headings = [[*row, name] for row in headings]
    return chosen, headings


def describe(explanation: Explanation, class_names: Sequence[str] | None,
             index: int) -> str:
    return f'{name_of(class_names, index)} ({explanation.scores[index]:.2f})'


def name_of(class_names: Sequence[str] | None, index: int) -> str:
    if class_names is None:
        return str(index)
    return class_names[index].replace('_', ' ')


def _title(explanation: Explanation, class_names: Sequence[str] | None,
           place: int | None) -> str:

    def line(word: str, labels: Sequence[int]) -> str:
        classes = [describe(explanation, class_names, i) for i in labels]
        return f'{word}: {", ".join(classes) or "none"}'

    lines = [line('predicted', explanation.predicted)]
    true = explanation.gt_label
    if true is not None:
        lines.insert(0, line('true',
                             true if isinstance(true, list) else [true]))
    if place is not None:
        lines[-1] += layer_words(explanation, place)
    return '\n'.join(lines)


def layer_words(explanation: Explanation, place: int) -> str:
    """Which layer is drawn, for the end of a title."""
    if explanation.evidence is not None:  # whose head has one layer
        return ''
    # spaces at which no line is broken
    return (f'   decoder\N{NO-BREAK SPACE}layer\N{NO-BREAK SPACE}'
            f'{explanation.layers[place]}')


def _even_line(explanation: Explanation, class_names: Sequence[str] | None,
               joint: bool) -> str:
    """Whether the maps decide, as a further line of the title; of some heads
    alone, unless ``joint``, nothing adds up."""
    labels = explanation.predicted
    if explanation.even_scores is None or not labels:
        return ''
    scores = [f'{explanation.even_scores[i]:.2f}' for i in labels]
    if explanation.evidence is not None:
        sums = 'these maps add up to the score; ' if joint else ''
        return f'\n{sums}with even attention: {", ".join(scores)}'
    words = [f'{name_of(class_names, i)} {s}' for i, s in zip(labels, scores)]
    place = 'in place of these maps' if joint else 'of all heads'
    return f'\nwith even attention {place}: {", ".join(words)}'
