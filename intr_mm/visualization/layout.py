"""Figures of photos and maps in rows: one builder for all of them."""
import textwrap
from collections.abc import Callable, Sequence

import cv2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from mmpretrain.visualization import create_figure

from .figure_files import file_name
from .heat import Scale
from .panel_grid import CHARACTER, GAP, LINE, MARGIN, Panel, PanelGrid
from .style import SCREEN, FigureStyle

# inches
_BAR_LENGTH, _BAR, _BAR_TEXT, _BAR_GAP = 2.6, .1, .35, .35
_OUTLINE = [withStroke(linewidth=1.4, foreground='black')]


def build_figure(rows: Sequence[Sequence[Panel]],
                 labels: Sequence[str],
                 title: str,
                 scales: Sequence[Callable[[np.ndarray], Scale]] = (),
                 style: FigureStyle = SCREEN,
                 group: int = 1) -> Figure:
    """Rows of panels with labels at their left, and colour bars below.

    Args:
        rows: Each may be broken into several lines.
        labels: One for each row, empty for none.
        title: Of any number of lines.
        scales: Each gives the scale for the values of its panels.
        style: How the figure looks.
        group: Panels that stay together where a row is broken.

    Returns:
        Matplotlib's figure; its axes are named after row and heading.

    Raises:
        ValueError: If the width has no room for the columns.
    """
    grid = PanelGrid(rows, labels, style, group)
    title = '\n'.join(
        textwrap.fill(line, int((grid.width - 2 * MARGIN) / CHARACTER))
        for line in title.split('\n')) if style.titles else ''
    above = (title.count('\n') + 1) * LINE + GAP if title else 0
    below = _BAR + _BAR_TEXT + GAP if scales else 0
    size = np.array([grid.width, 2 * MARGIN + above + grid.body + below])
    figure = create_figure(figsize=size, dpi=style.dpi, margin=True)
    if title:
        figure.text(
            *(MARGIN, size[1] - MARGIN) / size,
            title,
            va='top',
            parse_math=False,
            fontsize=8)

    pixels = (round(grid.panel[1] * style.dpi),
              round(grid.panel[0] * style.dpi))
    heat = {
        id(panel):
        panel.geometry.resample(panel.cells, panel.img_shape,
                                _fit(panel.image, pixels))
        for row in rows
        for panel in row if panel.cells is not None
    }
    made = [
        make(
            np.concatenate([
                heat[id(panel)].ravel() for row in rows for panel in row
                if panel.cells is not None and panel.scale == i
            ])) for i, make in enumerate(scales)
    ]

    top = size[1] - MARGIN - above
    for (first, last), label in zip(grid.spans, grid.labels):
        low, high = (top - grid.bottoms[last],
                     top - grid.bottoms[first] + grid.panel[1])
        figure.text(
            *(grid.left - GAP, (low + high) / 2) / size,
            label,
            rotation=90,
            ha='right',
            va='center',
            multialignment='center',
            parse_math=False,
            fontsize=8)
    for (row, start, panels, headed), bottom in zip(grid.lines, grid.bottoms):
        for column, panel in enumerate(panels):
            corner = (grid.left + column * (grid.panel[0] + GAP), top - bottom)
            ax = figure.add_axes([*corner / size, *grid.panel / size])
            ax.set_label(
                file_name(f'{row + 1}-{start + column + 1}', labels[row],
                          panel.heading))
            _draw_panel(ax, panel, heat.get(id(panel)),
                        made[panel.scale] if made else None, pixels, style,
                        grid.wrap(panel.heading, 8) if headed else '',
                        grid.wrap(panel.caption, 7))

    room = (grid.width - grid.left - MARGIN + _BAR_GAP) / max(1, len(made))
    for i, scale in enumerate(made):
        length = min(_BAR_LENGTH, room - _BAR_GAP)
        corner = grid.left + i * room, MARGIN + _BAR_TEXT
        ax = figure.add_axes([*corner / size, *(length, _BAR) / size],
                             label=f'scale_{i + 1}')
        _draw_bar(figure, ax, scale)
    return figure


def _fit(image: np.ndarray, shape: tuple[int, int]) -> tuple[int, int]:
    """Largest height and width of a picture within a shape."""
    scale = min(shape[0] / image.shape[0], shape[1] / image.shape[1])
    return tuple(max(1, round(n * scale)) for n in image.shape[:2])


def _draw_panel(ax: Axes, panel: Panel, heat: np.ndarray | None,
                scale: Scale | None, pixels: tuple[int, int],
                style: FigureStyle, heading: str, caption: str) -> None:
    shape = _fit(panel.image, pixels)
    shrinks = shape[0] < panel.image.shape[0]
    image = cv2.resize(
        panel.image,
        shape[::-1],
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    # a rounded pixel is no reason for a margin
    whole = all(abs(a - b) <= 1 for a, b in zip(shape, pixels))
    settings = dict(interpolation='none', aspect='auto' if whole else 'equal')
    ax.axis('off')
    if heading:
        ax.set_title(heading, fontsize=8, pad=3, parse_math=False)
    if caption:
        ax.annotate(
            caption, (.5, 0), (0, -72 * GAP),
            xycoords='axes fraction',
            textcoords='offset points',
            ha='center',
            va='top',
            parse_math=False,
            fontsize=7)
    if heat is None:
        ax.imshow(image, **settings)
    else:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        ax.imshow(grey, cmap='gray', vmin=0, vmax=255, **settings)
        ax.imshow(heat, cmap=scale.cmap, norm=scale.norm, **settings)
        if style.contours:
            _draw_contours(ax, heat, scale)
    for (x, y, width, height), text in panel.boxes:
        left, top = x * shape[1] - .5, y * shape[0] - .5
        frame = matplotlib.patches.Rectangle((left, top),
                                             width * shape[1],
                                             height * shape[0],
                                             fill=False,
                                             linewidth=.8,
                                             edgecolor='white',
                                             path_effects=_OUTLINE)
        ax.add_patch(frame)
        ax.annotate(
            text, (left, top), (1.5, -1.5),
            textcoords='offset points',
            ha='left',
            va='top',
            color='white',
            fontsize=7,
            path_effects=_OUTLINE)


def _draw_contours(ax: Axes, heat: np.ndarray, scale: Scale) -> None:
    levels = [
        tick for tick in scale.ticks
        if tick not in (0, scale.norm.vmin) and heat.min() < tick < heat.max()
    ]
    if levels and min(heat.shape) > 1:
        lines = ax.contour(
            heat,
            levels,
            colors='white',
            linewidths=.6,
            linestyles=[
                'dashed' if level < 0 else 'solid' for level in levels
            ])
        lines.set_path_effects(_OUTLINE)


def _draw_bar(figure: Figure, ax: Axes, scale: Scale) -> None:
    figure.colorbar(
        ScalarMappable(scale.norm, scale.bar_colors),
        cax=ax,
        orientation='horizontal',
        ticks=scale.ticks,
        format=scale.format,
        extend=scale.extend)
    ax.minorticks_off()
    ax.tick_params(labelsize=7, length=2)
    ax.set_xlabel(scale.label, fontsize=7, labelpad=2)
