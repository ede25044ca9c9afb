"""Colours and scales of maps that lie on photos.

A map is laid on the grey photo with one opacity everywhere, so that the colour
map's dark end is a veil: black, grey and white places all start dark, and the
same value adds about the same lightness (CIELAB L*) to each of them. Clear
colours would start from the photo's own lightness, and be lost where that is
theirs too. The photo stands beside it in colour.
"""
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import matplotlib.ticker
import numpy as np
from matplotlib.colors import (Colormap, LinearSegmentedColormap,
                               ListedColormap, LogNorm, Normalize, SymLogNorm)

OPACITY = .65
# share of the pixels that may lie above a scale's end: a cell of a few hundred
QUANTILE = .998
_TIMES = '%g\N{MULTIPLICATION SIGN}'


@dataclass(frozen=True)
class Scale:
    """What a value looks like, and what the colour bar says of it.

    Args:
        norm: Place of a value on the scale.
        cmap: Colour of a place.
        label: What the colours count.
        ticks: Values that the bar names, which contour lines follow.
        format: How.
        extend: At which ends colours also stand for what lies beyond:
            ``'neither'``, ``'max'`` or ``'both'``.
    """
    norm: Normalize
    cmap: Colormap
    label: str
    ticks: Sequence[float]
    format: str = '%g'
    extend: str = 'neither'

    @property
    def bar_colors(self) -> ListedColormap:
        """Colours over grey, as on a photo."""
        colors = self.cmap(np.arange(self.cmap.N))
        colors[:, :3] = .5 + colors[:, 3:] * (colors[:, :3] - .5)
        return ListedColormap(colors[:, :3])


def heat_colors(name: str = 'inferno') -> ListedColormap:
    """Colours from nothing, dark, to much, light.

    Args:
        name: A colour map of matplotlib. The lightness of its perceptually
            uniform ones rises evenly, also in grey print and for colour-blind
            readers.

    Returns:
        256 colours of one opacity.
    """
    return _veil(matplotlib.colormaps[name](np.linspace(0, 1, 256)), name)


def difference_colors(name: str | None = None) -> ListedColormap:
    """Blue below, orange above, and the lighter the larger; 0 is dark.

    Args:
        name: A diverging colour map of matplotlib to take instead.

    Returns:
        256 colours of one opacity, of which the one of 0 has the number 128.
    """
    cmap = matplotlib.colormaps[name] if name else (
        LinearSegmentedColormap.from_list('difference', [
            '#c4e4ff', '#2f86ff', '#000000', '#d06500', '#ffdca8'
        ]))  # both ways the same lightness
    places = (np.arange(256) - 128).clip(-127) / 127
    return _veil(cmap((1 + places) / 2), cmap.name)


def _veil(colors: np.ndarray, name: str) -> ListedColormap:
    colors[:, 3] = OPACITY
    return ListedColormap(colors, name)


def attention_scale(values: np.ndarray,
                    label: str = 'attention / uniform',
                    top: float = 10,
                    quantile: float = QUANTILE,
                    cmap: str | None = None) -> Scale:
    """Logarithmic, from 1 on, which is even attention.

    Args:
        values: All that is drawn, as multiples of even attention.
        label: What the colours count.
        top: Least upper end.
        quantile: Share of the values that lie below the upper end, if it is
            not the least; 1 ends at the largest.
        cmap: See :func:`heat_colors`.
    """
    peak = values.max()
    top = max(top, np.quantile(values, quantile))
    return Scale(
        LogNorm(1, top, clip=True), heat_colors(cmap or 'inferno'), label,
        _ticks(top), _TIMES, 'max' if peak > top * 1.001 else 'neither')


def signed_scale(values: np.ndarray,
                 label: str,
                 quantile: float = QUANTILE,
                 cmap: str | None = None) -> Scale:
    """Linear, and as long on both sides of 0.

    Args:
        values: All that is drawn.
        label: What the colours count.
        quantile: Share of the values that lie within the ends; 1 ends at the
            largest.
        cmap: See :func:`difference_colors`.
    """
    sizes = np.abs(values)
    top = np.quantile(sizes, quantile) or sizes.max() or 1
    ticks = matplotlib.ticker.MaxNLocator(6).tick_values(-top, top)
    return Scale(
        Normalize(-top, top, clip=True),
        difference_colors(cmap),
        label, [tick for tick in ticks if abs(tick) <= top],
        extend='both' if sizes.max() > top * 1.001 else 'neither')


def difference_scale(values: np.ndarray,
                     label: str,
                     quantile: float = QUANTILE) -> Scale:
    """For differences of attention: linear from -1 to 1 times even attention,
    logarithmic beyond, as :func:`attention_scale` is."""
    linear = signed_scale(values, label, quantile)
    top = max(10, linear.norm.vmax)
    ticks = [tick for tick in (1, 3, 10, 30, 100, 300, 1000) if tick <= top]
    beyond = np.abs(values).max() > top * 1.001
    return Scale(
        SymLogNorm(1, linscale=.5, vmin=-top, vmax=top, base=10, clip=True),
        linear.cmap,
        label, [*(-t for t in reversed(ticks)), 0, *ticks],
        extend='both' if beyond else 'neither')


def _ticks(top: float) -> list[float]:
    if top < 3:
        return np.arange(1, top, .1 if top < 2 else .2).round(1).tolist()
    steps = (1, 2, 5) if top < 200 else (1, )
    return [n * 10**power for power in range(7) for n in steps]
