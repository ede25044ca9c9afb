import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width

import numpy as np

from intr_mm.structures import CellGeometry
from .style import FigureStyle

# All lengths are in inches. Panels have one area whatever their proportions,
# unless the figure's width is given.
_PANEL_AREA, GAP, MARGIN = 1.5**2, .05, .1
LINE, CHARACTER = .14, .068
SMALL_LINE, SMALL_CHARACTER = .122, .06
_MIN_PANEL, _GOOD_PANEL = .2, .65


@dataclass
class Panel:
    """A photo, or a map on it.

    Args:
        image: RGB photo (H, W, 3), uint8.
        cells: The map (h, w). None shows the photo in colour.
        geometry: Where the cells lie on the network's input.
        img_shape: Height and width in pixels of the network's input without
            padding.
        heading: Text above.
        caption: Text below.
        scale: Which of the figure's scales is the map's.
        boxes: Frames to draw, each with its text: left, top, width and height
            in shares of the photo.
    """
    image: np.ndarray
    cells: np.ndarray | None = None
    geometry: CellGeometry | None = None
    img_shape: tuple[int, int] | None = None
    heading: str = 'image'
    caption: str = ''
    scale: int = 0
    boxes: Sequence[tuple[tuple[float, float, float, float], str]] = ()


def fill(text: str, width: int) -> str:
    """Break text into lines of so many characters, of which a wide one, as
    of Chinese, takes two."""
    wide = ''.join(c + '\0' * (east_asian_width(c) in 'WF') for c in text)
    return textwrap.fill(wide, width).replace('\0', '')


class PanelGrid:
    """Where panels go: ``lines`` of (row, place in it, panels, whether
    headings stand above), and how far the bottom of each is below the top."""

    def __init__(self, rows: Sequence[Sequence[Panel]], labels: Sequence[str],
                 style: FigureStyle, group: int):
        count = max(map(len, rows))
        ratio = np.median([
            panel.image.shape[1] / panel.image.shape[0] for row in rows
            for panel in row
        ])
        side = MARGIN + (LINE if any(labels) else 0)
        columns = self._set_panel(style, side, count, group, ratio)
        # now that the height of a row is known
        per_row = [-(-len(row) // columns) for row in rows]
        self.labels = [
            fill(label, max(8, int(lines * self.panel[1] / CHARACTER)))
            for label, lines in zip(labels, per_row)
        ]
        more = max(label.count('\n') for label in self.labels)
        self.left = side + more * LINE
        self._set_panel(style, self.left, count, group, ratio, columns)
        self.lines, self.bottoms, self.spans = [], [], []
        headings = [[panel.heading for panel in row] for row in rows]
        alike = all(row == headings[0] for row in headings)
        y = 0.
        for i, row in enumerate(rows):
            first = len(self.lines)
            headed = i == 0 or not alike or per_row[i] > 1
            for start in range(0, len(row), columns):
                panels = row[start:start + columns]
                if headed:
                    y += self._height(panels, 'heading', 8)
                y += self.panel[1]
                self.lines.append((i, start, panels, headed))
                self.bottoms.append(y)
                y += self._height(panels, 'caption', 7) + GAP
            self.spans.append((first, len(self.lines) - 1))
        self.body = y - GAP

    def _set_panel(self, style, left, count, group, ratio, columns=None):
        if style.width_mm is None:
            columns = min(count, style.columns or count)
        else:
            self.width = style.width_mm / 25.4
            room = self.width - left - MARGIN + GAP
            if columns is None:
                good = max(1, int(room / (_GOOD_PANEL + GAP)))
                columns = min(count, style.columns or good)
        columns = max(columns // group, 1) * group
        if style.width_mm is None:
            width = (_PANEL_AREA * ratio)**.5
            self.width = left + columns * (width + GAP) - GAP + MARGIN
        else:
            if style.columns is None:  # lines of about one length
                columns = -(-count // -(-count // columns))
                columns = -(-columns // group) * group
            width = room / columns - GAP
            if width < _MIN_PANEL:
                raise ValueError(
                    f'{style.width_mm:g} mm have no room for {columns} '
                    f'columns, of which each needs {25.4 * _MIN_PANEL:.0f} '
                    'mm: make the figure wider (width_mm), or give it fewer '
                    'columns.')
        self.panel = np.array([width, width / ratio])
        return columns

    def wrap(self, text: str, points: int) -> str:
        character = CHARACTER if points == 8 else SMALL_CHARACTER
        return fill(text, max(6, int(self.panel[0] / character)))

    def _height(self, panels, name, points):
        texts = [getattr(panel, name) for panel in panels]
        if not any(texts):
            return 0
        line = LINE if points == 8 else SMALL_LINE
        return GAP + line * max(
            self.wrap(text, points).count('\n') + 1 for text in texts)
