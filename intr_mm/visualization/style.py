from dataclasses import dataclass

from .heat import QUANTILE


@dataclass(frozen=True)
class FigureStyle:
    """How figures look.

    Args:
        width_mm: Width of the figure, as of a journal's column (often 85 and
            170), whose rows are then broken to fit. Type is 7 or 8 pt all the
            same. None gives panels one size instead.
        dpi: Pixels per inch of pictures, and of photos and maps within vector
            graphics.
        columns: Panels in a row, at most. None takes all, or as many as the
            width is good for.
        cmap: Colour map of matplotlib in place of that of
            :func:`heat_colors`, or of :func:`difference_colors` for evidence.
        contours: Whether to draw contour lines at the values that the colour
            bar names; those below 0 are dashed.
        titles: Whether the figure has a title.
        quantile: Share of the values within the ends of a scale, see
            :func:`attention_scale`.
    """
    width_mm: float | None = None
    dpi: int = 180
    columns: int | None = None
    cmap: str | None = None
    contours: bool = False
    titles: bool = True
    quantile: float = QUANTILE


# on a screen: panels of one size, in one row
SCREEN = FigureStyle()
