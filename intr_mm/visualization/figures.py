import textwrap
from collections.abc import Sequence

import cv2
import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from mmengine.visualization.utils import img_from_canvas
from mmpretrain.visualization import create_figure
from scipy.special import entr

from intr_mm.structures import CellGeometry, Explanation

# All lengths are in inches. Panels have one area whatever their proportions.
_PANEL_AREA, _GAP, _MARGIN, _DPI = 1.5**2, .05, .1, 180
_LINE, _CHARACTER = .155, .075
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
    rows, maps, h, w = attention.shape
    ratio = image.shape[1] / image.shape[0]
    width, height = (_PANEL_AREA * ratio)**.5, (_PANEL_AREA / ratio)**.5
    size = round(width * _DPI), round(height * _DPI)
    shrinks = size[0] < image.shape[1]
    image = cv2.resize(
        image,
        size,
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    heat = geometry.resample(  # (K, maps, height, width)
        attention * (h * w), img_shape, size[::-1])
    norm, cmap = LogNorm(1, max(top, heat.max())), heat_colors()

    row_labels = [
        textwrap.fill(label, int(height / _CHARACTER)) for label in row_labels
    ]
    lines = max(label.count('\n') for label in row_labels) + 1
    left = _MARGIN + lines * _LINE
    right = left + (maps + 1) * (width + _GAP)
    body = rows * (height + _GAP) - _GAP
    figure_size = np.array([
        right + _BAR + _BAR_LABEL,
        2 * _MARGIN + body + (title.count('\n') + 2.2) * _LINE
    ])
    figure = create_figure(figsize=figure_size, dpi=_DPI, margin=True)
    alike = all(list(row) == list(headings[0]) for row in headings)
    for row in range(rows):
        bottom = _MARGIN + (rows - 1 - row) * (height + _GAP)
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

    bar = figure.add_axes(
        [*(right, _MARGIN) / figure_size, *(_BAR, body) / figure_size],
        facecolor='.5')
    figure.colorbar(
        ScalarMappable(norm, cmap),
        cax=bar,
        ticks=_ticks(norm.vmax),
        format='%g\N{MULTIPLICATION SIGN}')
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


def draw_explanation(explanation: Explanation,
                     class_names: Sequence[str] | None = None,
                     place: int = 0,
                     heads: str = 'all',
                     name_layer: bool = True) -> np.ndarray:
    """Picture of an explanation: a row of maps for each class.

    Args:
        explanation: What to draw.
        class_names: Names of all classes. None shows indices.
        place: Which of the explanation's layers to draw. 0 means the first of
            them.
        heads: See :func:`choose_heads`.
        name_layer: Whether the title names the layer.

    Returns:
        RGB picture, uint8.
    """
    maps, headings = choose_heads(explanation.maps[place], heads)
    return draw_attention(
        explanation.image,
        maps,
        explanation.geometry,
        explanation.img_shape,
        [_describe(explanation, class_names, i) for i in explanation.classes],
        _title(explanation, class_names, place if name_layer else None),
        headings=headings)


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
    if heads not in ('all', 'mean', 'best4'):
        raise ValueError(
            f"heads is 'all', 'mean' or 'best4', but got {heads!r}.")
    num = dict(all=maps.shape[1], mean=0, best4=min(4, maps.shape[1]))[heads]
    order = np.tile(np.arange(maps.shape[1]), (len(maps), 1))
    if heads == 'best4':
        order = entr(maps).sum((-2, -1)).argsort(1, kind='stable')
    order = order[:, :num]
    chosen = np.take_along_axis(maps, order[..., None, None], axis=1)
    headings = [[*(f'head {i + 1}' for i in row), 'mean'] for row in order]
    return np.concatenate((chosen, maps.mean(1, keepdims=True)), 1), headings


def _describe(explanation: Explanation, class_names: Sequence[str] | None,
              index: int) -> str:
    name = str(index) if class_names is None else class_names[index]
    return f'{name.replace("_", " ")} ({explanation.scores[index]:.2f})'


def _title(explanation: Explanation, class_names: Sequence[str] | None,
           place: int | None) -> str:
    best = int(explanation.scores.argmax())
    lines = [f'predicted: {_describe(explanation, class_names, best)}']
    if explanation.gt_label is not None:
        true = _describe(explanation, class_names, explanation.gt_label)
        lines.insert(0, f'true: {true}')
    if place is not None:
        lines[-1] += f'   decoder layer {explanation.layers[place] + 1}'
    return '\n'.join(lines)
