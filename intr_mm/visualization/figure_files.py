"""Matplotlib's figures as pictures and files."""
import io
import os
import re
import zlib
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from mmengine.visualization.utils import img_from_canvas

from intr_mm.checkpoints.writing import AtomicLocalBackend
from intr_mm_flags import ending

# Bytes of a file's name, of 255, as its parts are written beside it under a
# name with 23 more, and of one whose ending is still to come.
_NAME, _STEM = 230, 200


def render(figure: Figure) -> np.ndarray:
    """RGB picture of a figure, uint8."""
    return img_from_canvas(figure.canvas)


def save_figure(figure: Figure,
                path: str | Path,
                panels: bool = False) -> None:
    """Write a figure: type stays type, photos and maps keep their pixels.

    Args:
        figure: Of :func:`build_figure`.
        path: File, whose suffix is the format: ``.pdf``, ``.svg`` or ``.png``.
        panels: Whether to write a file for each panel and each colour bar
            instead, without any text around: ``{stem}_{row}_{heading}``.
    """
    path = Path(path)
    # the same figure gives the same file
    undated = {'.pdf': 'CreationDate', '.svg': 'Date'}.get(ending(path))
    settings = {
        'pdf.fonttype': 42,
        'svg.fonttype': 'none',
        'svg.hashsalt': 'intr_mm',
        'image.composite_image': False
    }

    def save(path, **kwargs):
        content = io.BytesIO()
        figure.savefig(
            content,
            format=ending(path)[1:],
            dpi=figure.dpi,
            metadata={undated: None} if undated else None,
            **kwargs)
        AtomicLocalBackend().put(content.getbuffer(), path)

    with matplotlib.rc_context(settings):
        if not panels:
            save(path)
            return
        figure.canvas.draw()
        for ax in figure.axes:
            with _alone(figure, ax):
                tail = f'_{ax.get_label()}{path.suffix}'
                name = _shorten(path.stem, _NAME - len(os.fsencode(tail)))
                box = ax.get_window_extent()
                if not ax.images:  # a bar with its numbers
                    box = ax.get_tightbbox()
                save(
                    path.with_name(name + tail),
                    bbox_inches=Bbox(box.get_points() / figure.dpi))


@contextmanager
def _alone(figure: Figure, ax: Axes):
    """Hide all but a panel."""
    others = [other for other in figure.axes if other is not ax]
    hidden = [*figure.texts, *others, ax.title]
    if ax.images:
        hidden += [text for text in ax.texts if not text.get_path_effects()]
    for artist in hidden:
        artist.set_visible(False)
    yield
    for artist in hidden:
        artist.set_visible(True)


def file_name(*parts) -> str:
    """Name of a file from words, such as of classes, which may have spaces and
    slashes."""
    words = (re.sub(r'[^\w.]+', '-', str(part)).strip('-.') for part in parts)
    return _shorten('_'.join(_cut(word, 60) for word in words if word), _STEM)


def _cut(text: str, size: int) -> str:
    """The beginning of so many bytes, without a part of a character."""
    return os.fsencode(text)[:size].decode(errors='ignore')


def _shorten(text: str, size: int) -> str:
    """The same, which tells texts of one beginning apart."""
    content = os.fsencode(text)
    if len(content) <= size:
        return text
    return f'{_cut(text, size - 9)}-{zlib.crc32(content):08x}'
