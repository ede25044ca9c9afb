"""Figures of photos and maps in rows: one builder for all of them."""
from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from mmpretrain.visualization import create_figure

from .figure_files import file_name
from .fonts import font_families
from .heat import Scale
from .panel_grid import (CHARACTER, GAP, LINE, MARGIN, SMALL_CHARACTER,
                         SMALL_LINE, Panel, PanelGrid, fill)
from .style import SCREEN, FigureStyle

# inches
_BAR_LENGTH, _BAR, _BAR_TEXT, _BAR_GAP = 2.6, .1, .35, .35
_MIN_BAR, _GOOD_BAR = .5, 1
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
        ValueError: If the width has no room for the columns or a colour bar.
    """
    grid = PanelGrid(rows, labels, style, group)
    title = '\n'.join(
        fill(line, int((grid.width - 2 * MARGIN) / CHARACTER))
        for line in title.split('\n')) if style.titles else ''
    above = (title.count('\n') + 1) * LINE + GAP if title else 0

    pixels = (round(grid.panel[1] * style.dpi),
              round(grid.panel[0] * style.dpi))
    heat = {
        id(panel):
        panel.geometry.resample(panel.cells, panel.img_shape,
                                _fit(panel.image, pixels))
        for row in rows
        for panel in row if panel.cells is not None
    }
    across, length = _bar_places(grid, len(scales), style)
    made = [
        _fit_bar(
            make(
                np.concatenate([
                    heat[id(panel)].ravel() for row in rows for panel in row
                    if panel.cells is not None and panel.scale == i
                ])), length) for i, make in enumerate(scales)
    ]
    lines = max([0, *(scale.label.count('\n') for scale in made)])
    bar_text = _BAR_TEXT + lines * SMALL_LINE
    below = -(-len(made) // across) * (_BAR + bar_text + GAP)

    size = np.array([grid.width, 2 * MARGIN + above + grid.body + below])
    figure = create_figure(figsize=size, dpi=style.dpi, margin=True)
    if title:
        figure.text(
            *(MARGIN, size[1] - MARGIN) / size,
            title,
            va='top',
            parse_math=False,
            fontsize=8)
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

    room = (grid.width - grid.left - MARGIN + _BAR_GAP) / across
    for i, scale in enumerate(made):
        line, column = divmod(i, across)
        corner = (grid.left + column * room,
                  MARGIN + below - (line + 1) * (_BAR + GAP) - line * bar_text)
        ax = figure.add_axes([*corner / size, *(length, _BAR) / size],
                             label=f'scale_{i + 1}')
        _draw_bar(figure, ax, scale)

    words = [text.get_text() for text in figure.findobj(Text)]
    families = font_families(''.join(words))
    if families != matplotlib.rcParams['font.family']:
        for text in figure.findobj(Text):
            text.set_family(families)
    return figure


def _bar_places(grid: PanelGrid, count: int,
                style: FigureStyle) -> tuple[int, float]:
    """How many colour bars stand side by side, and how long they are."""
    room = grid.width - grid.left - MARGIN + _BAR_GAP
    across = max(1, min(count, int(room / (_GOOD_BAR + _BAR_GAP))))
    length = min(_BAR_LENGTH, room / across - _BAR_GAP)
    if count and style.width_mm and length < _MIN_BAR:
        raise ValueError(
            f'{style.width_mm:g} mm have no room for a colour bar, which '
            f'needs {25.4 * _MIN_BAR:.0f} mm: make the figure wider '
            '(width_mm).')
    return across, length


def _fit_bar(scale: Scale, length: float) -> Scale:
    """The scale for a bar of so many inches: its label in lines, and ticks
    that neither touch nor leave the figure."""
    ends = dict(neither=0, max=1, both=2)[scale.extend]
    inner = length / (1 + .05 * ends)  # each pointed end takes a twentieth
    low = .05 * inner if scale.extend == 'both' else 0
    ticks, places = [], []
    for tick in scale.ticks:
        if scale.norm.vmin <= tick <= scale.norm.vmax:
            text = TextPath((0, 0), scale.format % tick, size=7)
            half = text.get_extents().width / 144
            at = low + inner * float(scale.norm(tick))
            if half - MARGIN < at < length + MARGIN - half:
                ticks.append(tick)
                places.append((at - half, at + half))
    middle = ticks.index(0) if 0 in ticks else 0
    for step in range(1, len(ticks) + 1):
        kept = slice(middle % step, None, step)
        if all(one[1] + GAP < other[0]
               for one, other in zip(places[kept], places[kept][1:])):
            break
    return replace(
        scale,
        ticks=ticks[kept] if ticks else [],
        label=fill(scale.label, max(6, int(length / SMALL_CHARACTER))))


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
