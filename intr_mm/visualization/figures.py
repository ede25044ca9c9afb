import textwrap
from collections.abc import Callable, Sequence

import cv2
import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import (LinearSegmentedColormap, LogNorm, Normalize,
                               to_rgba)
from mmengine.visualization.utils import img_from_canvas
from mmpretrain.visualization import create_figure
from scipy.special import entr

from intr_mm.structures import CellGeometry, Explanation

# All lengths are in inches. Panels have one area whatever their proportions.
_PANEL_AREA, _GAP, _MARGIN, _DPI = 1.5**2, .05, .1, 180
_LINE, _CHARACTER = .155, .075
_SMALL_LINE, _SMALL_CHARACTER = .125, .058
_BAR, _BAR_LABEL = .1, .55


def draw_attention(image: np.ndarray,
                   attention: np.ndarray,
                   geometry: CellGeometry,
                   img_shape: tuple[int, int],
                   row_labels: Sequence[str],
                   title: str,
                   headings: Sequence[Sequence[str]] | None = None,
                   unit: str = 'attention / uniform',
                   top: float = 10) -> np.ndarray:
    """Picture of where classes look: image, each head, mean of the heads.

    Each class has a row. All maps share one logarithmic colour scale, so that
    heads and classes can be compared: how many times more attention a place
    receives than if it were spread evenly. What receives less is left clear.

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

    Returns:
        RGB picture, uint8.
    """
    if headings is None:
        numbers = [f'head {i + 1}' for i in range(attention.shape[1])]
        headings = [[*numbers, 'mean']] * len(attention)
        attention = np.concatenate(
            (attention, attention.mean(1, keepdims=True)), 1)
    h, w = attention.shape[-2:]

    def scale(heat):
        norm = LogNorm(1, max(top, heat.max()))
        return norm, heat_colors(), dict(
            ticks=_ticks(norm.vmax), format='%g\N{MULTIPLICATION SIGN}')

    return _draw(image, attention * (h * w), geometry, img_shape, row_labels,
                 title, headings, unit, scale)


def _draw(image: np.ndarray,
          values: np.ndarray,
          geometry: CellGeometry,
          img_shape: tuple[int, int],
          row_labels: Sequence[str],
          title: str,
          headings: Sequence[Sequence[str]],
          unit: str,
          scale: Callable,
          captions: Sequence[Sequence[str]] | None = None) -> np.ndarray:
    """Rows of panels, see :func:`draw_attention`.

    Args:
        values: What is drawn, (K, P, h, w).
        scale: Gives norm, colour map and settings of the bar for the values on
            the pixels.
        captions: Text below each panel.
    """
    rows, maps = values.shape[:2]
    ratio = image.shape[1] / image.shape[0]
    width, height = (_PANEL_AREA * ratio)**.5, (_PANEL_AREA / ratio)**.5
    size = round(width * _DPI), round(height * _DPI)
    shrinks = size[0] < image.shape[1]
    image = cv2.resize(
        image,
        size,
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    # (K, maps, height, width)
    heat = geometry.resample(values, img_shape, size[::-1])
    norm, cmap, bar_settings = scale(heat)
    below = 0
    if captions is not None:
        captions = [[
            textwrap.fill(text, int(width / _SMALL_CHARACTER)) for text in row
        ] for row in captions]
        below = max(text.count('\n') + 1 for row in captions
                    for text in row) * _SMALL_LINE + _GAP

    row_labels = [
        textwrap.fill(label, int(height / _CHARACTER)) for label in row_labels
    ]
    lines = max(label.count('\n') for label in row_labels) + 1
    left = _MARGIN + lines * _LINE
    right = left + (maps + 1) * (width + _GAP)
    body = rows * (height + below + _GAP) - _GAP
    figure_size = np.array([
        right + _BAR + _BAR_LABEL + unit.count('\n') * _LINE,
        2 * _MARGIN + body + (title.count('\n') + 2.2) * _LINE
    ])
    figure = create_figure(figsize=figure_size, dpi=_DPI, margin=True)
    alike = all(list(row) == list(headings[0]) for row in headings)
    for row in range(rows):
        bottom = _MARGIN + (rows - 1 - row) * (height + below + _GAP) + below
        for column, heading in enumerate(['image', *headings[row]]):
            corner = left + column * (width + _GAP), bottom
            ax = figure.add_axes(
                [*corner / figure_size, *(width, height) / figure_size])
            ax.axis('off')
            if row == 0 and (alike or column == 0):
                ax.set_title(heading, fontsize=8, pad=3)
            elif not alike and column > 0:
                ax.text(
                    .03,
                    .97,
                    heading,
                    transform=ax.transAxes,
                    ha='left',
                    va='top',
                    fontsize=7,
                    bbox=dict(facecolor='white', edgecolor='none', pad=1))
            if column == 0:
                ax.imshow(image, aspect='auto')
                ax.text(
                    -_GAP / width,
                    .5,
                    row_labels[row],
                    transform=ax.transAxes,
                    rotation=90,
                    ha='right',
                    va='center',
                    multialignment='center',
                    parse_math=False,
                    fontsize=8)
            else:
                ax.imshow(grey, cmap='gray', vmin=0, vmax=255, aspect='auto')
                ax.imshow(
                    heat[row, column - 1], cmap=cmap, norm=norm, aspect='auto')
                if captions is not None:
                    ax.text(
                        .5,
                        -_GAP / height,
                        captions[row][column - 1],
                        transform=ax.transAxes,
                        ha='center',
                        va='top',
                        parse_math=False,
                        fontsize=7)

    bar = figure.add_axes(
        [*(right, _MARGIN) / figure_size, *(_BAR, body) / figure_size],
        facecolor='.5')
    figure.colorbar(ScalarMappable(norm, cmap), cax=bar, **bar_settings)
    bar.minorticks_off()
    bar.tick_params(labelsize=7, length=2)
    bar.set_ylabel(unit, fontsize=7)
    figure.text(
        *(left, figure_size[1] - _MARGIN) / figure_size,
        title,
        va='top',
        parse_math=False,
        fontsize=8)
    return img_from_canvas(figure.canvas)


def _ticks(top: float) -> Sequence[float]:
    if top < 3:
        return np.arange(1, top, .1 if top < 2 else .2)
    return [n * 10**power for power in range(6) for n in (1, 2, 5)]


def heat_colors() -> LinearSegmentedColormap:
    """Perceptually uniform, and the clearer the less attention there is."""
    colors = matplotlib.colormaps['plasma'](np.linspace(0, 1, 256))
    colors[:, 3] = np.linspace(0, .85, 256)
    return LinearSegmentedColormap.from_list('attention', colors)


def difference_colors() -> LinearSegmentedColormap:
    """Blue below, orange above, and the clearer the smaller. The pale middle
    of usual diverging maps would hide the image."""
    # Both matplotlib and the page have 0 as the colour 128.
    share = (np.arange(256) - 128).clip(-127) / 127
    colors = np.where(share[:, None] < 0, to_rgba('#2079ff'),
                      to_rgba('#ff8a00'))
    colors[:, 3] = .9 * np.abs(share)**.7
    return LinearSegmentedColormap.from_list('difference', colors)


def draw_explanation(explanation: Explanation,
                     class_names: Sequence[str] | None = None,
                     place: int = 0,
                     heads: str = 'all',
                     name_layer: bool = True,
                     against: int | str | None = None) -> np.ndarray:
    """Picture of an explanation: a row of maps for each class.

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

    Returns:
        RGB picture, uint8.
    """
    labels = [
        _describe(explanation, class_names, i) for i in explanation.classes
    ]
    title = _title(explanation, class_names, place if name_layer else None)
    if explanation.layers[place] == max(explanation.layers):
        title += _even_line(explanation, class_names)
    if explanation.evidence is not None:
        values, headings, captions = _evidence_panels(explanation, class_names,
                                                      heads, against)
        return _draw(
            explanation.image, values, explanation.geometry,
            explanation.img_shape, labels, title, headings,
            'evidence per cell (nats)\n\N{LEFTWARDS ARROW} against    for '
            '\N{RIGHTWARDS ARROW}', _signed_scale, captions)
    maps, headings = choose_heads(explanation.maps[place], heads)
    return draw_attention(
        explanation.image,
        maps,
        explanation.geometry,
        explanation.img_shape,
        labels,
        title,
        headings=headings)


def _signed_scale(heat: np.ndarray):
    top = np.abs(heat).max() or 1
    return Normalize(-top, top), difference_colors(), dict(format='%g')


def _evidence_panels(explanation: Explanation,
                     class_names: Sequence[str] | None, heads: str,
                     against: int | str | None):
    """Evidence (K, P, h, w) of heads, their sum and the margin; with the
    heading and the caption of each."""
    evidence = explanation.evidence
    values, headings = _choose(evidence, heads, -np.abs(evidence).sum(
        (-2, -1)), evidence.sum(1, keepdims=True), 'evidence')
    captions = [[f'sum {panel.sum():+.2f}' for panel in row] for row in values]
    for row, mass in zip(captions, explanation.found_mass):
        row[-1] += f', found {mass:.2f}'
    pairs = _margins(explanation, against)
    if not pairs:
        return values, headings, captions
    margins = np.stack([(evidence[a] - evidence[b]).sum(0, keepdims=True)
                        for a, b in pairs])
    for row, heading, pair, margin in zip(captions, headings, pairs, margins):
        heading.append('why A and not B')
        one, other = (_name(class_names, explanation.classes[i]) for i in pair)
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


def draw_memory(explanation: Explanation,
                class_names: Sequence[str] | None = None,
                place: int = 0) -> np.ndarray:
    """Picture of what there is to attend to: see
    :meth:`BaseExplainingHead.memory_norms`.

    Args:
        explanation: With ``memory``.
        class_names: Names of all classes. None shows indices.
        place: Which of the explanation's layers to draw. 0 means the first of
            them.

    Returns:
        RGB picture, uint8.
    """
    norms = explanation.memory[place]
    share = norms / norms.sum((-2, -1), keepdims=True)
    values = [f'value {i + 1}' for i in range(len(norms) - 1)]
    return draw_attention(
        explanation.image,
        share[None],
        explanation.geometry,
        explanation.img_shape, ['norm of what is attended to'],
        _title(explanation, class_names, place),
        headings=[['memory - mean', *values]],
        unit='norm / mean norm',
        top=1.5)


def choose_heads(maps: np.ndarray,
                 heads: str) -> tuple[np.ndarray, list[list[str]]]:
    """Panels of a picture.

    Args:
        maps: Attention of shape (K, heads, h, w).
        heads: ``'all'`` heads and their mean; only the ``'mean'``; or
            ``'best4'``, for each class the four heads with the lowest entropy
            on this image, the most peaked first, and the mean of all.

    Returns:
        Maps (K, P, h, w), and the heading of each.

    Raises:
        ValueError: If ``heads`` is another word.
    """
    return _choose(maps, heads,
                   entr(maps).sum((-2, -1)), maps.mean(1, keepdims=True),
                   'mean')


def _choose(maps: np.ndarray, heads: str, order: np.ndarray, joint: np.ndarray,
            name: str) -> tuple[np.ndarray, list[list[str]]]:
    """See :func:`choose_heads`; the lowest of ``order`` (K, heads) are best,
    and ``joint`` (K, 1, h, w) comes last."""
    if heads not in ('all', 'mean', 'best4'):
        raise ValueError(
            f"heads is 'all', 'mean' or 'best4', but got {heads!r}.")
    num = dict(all=maps.shape[1], mean=0, best4=min(4, maps.shape[1]))[heads]
    if heads == 'best4':
        order = order.argsort(1, kind='stable')
    else:
        order = np.tile(np.arange(maps.shape[1]), (len(maps), 1))
    order = order[:, :num]
    chosen = np.take_along_axis(maps, order[..., None, None], axis=1)
    headings = [[*(f'head {i + 1}' for i in row), name] for row in order]
    return np.concatenate((chosen, joint), 1), headings


def _describe(explanation: Explanation, class_names: Sequence[str] | None,
              index: int) -> str:
    return f'{_name(class_names, index)} ({explanation.scores[index]:.2f})'


def _name(class_names: Sequence[str] | None, index: int) -> str:
    if class_names is None:
        return str(index)
    return class_names[index].replace('_', ' ')


def _title(explanation: Explanation, class_names: Sequence[str] | None,
           place: int | None) -> str:
    best = int(explanation.scores.argmax())
    lines = [f'predicted: {_describe(explanation, class_names, best)}']
    if explanation.gt_label is not None:
        true = _describe(explanation, class_names, explanation.gt_label)
        lines.insert(0, f'true: {true}')
    # a head that gives evidence has one layer
    if place is not None and explanation.evidence is None:
        lines[-1] += f'   decoder layer {explanation.layers[place] + 1}'
    return '\n'.join(lines)


def _even_line(explanation: Explanation,
               class_names: Sequence[str] | None) -> str:
    """Whether the maps decide, as a further line of the title."""
    if explanation.even_scores is None:
        return ''
    best = int(explanation.scores.argmax())
    score = f'{explanation.even_scores[best]:.2f}'
    if explanation.evidence is not None:
        return ('\nthese maps add up to the score; with even attention: '
                f'{score}')
    return ('\nwith even attention in place of these maps: '
            f'{_name(class_names, best)} {score}')
