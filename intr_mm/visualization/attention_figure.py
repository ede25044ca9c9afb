import textwrap
from collections.abc import Sequence

import cv2
import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from mmengine.visualization.utils import img_from_canvas
from mmpretrain.visualization import create_figure

from .attention_heat import sample_attention
from .cell_geometry import CellGeometry

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
    heat = sample_attention(
        attention.reshape(-1, h, w) * (h * w), geometry, img_shape, size[::-1])
    heat = heat.reshape(rows, maps, *size[::-1])
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
