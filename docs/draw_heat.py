#!/usr/bin/env python
"""Draw how light the heat of maps is, beside that of version 0.2.0.

Prints the lightness L* of CIELAB at the start, in the middle and at the end of
both scales on black, grey and white places of a photo, and draws it above
three birds of RingSpecies, cut out, with one map on all of them.
"""
import argparse

import cv2
import matplotlib
import numpy as np
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from mmpretrain.visualization import create_figure

from intr_mm.datasets import RingSpecies
from intr_mm.visualization import save_figure
from intr_mm.visualization.heat import attention_scale, heat_colors

PLACES = dict(black=0., grey=.5, white=1.)
SIZE, CELLS = 192, 12


def old_colors() -> Colormap:
    """The scale of version 0.2.0, the clearer the less attention there is."""
    colors = matplotlib.colormaps['plasma'](np.linspace(0, 1, 256))
    colors[:, 3] = np.linspace(0, .85, 256)
    return ListedColormap(colors)


SCALES = {'version 0.2.0': old_colors(), 'now': heat_colors()}


def lightness(cmap: Colormap, brightness: float) -> np.ndarray:
    """L* of the 256 colours on a place of a photo."""
    colors = cmap(np.arange(256))
    share = colors[:, 3:]
    blended = share * colors[:, :3] + (1 - share) * brightness
    return cv2.cvtColor(np.float32([blended]), cv2.COLOR_RGB2LAB)[0, :, 0]


def birds() -> list[np.ndarray]:
    """Grey pictures of three birds, before black, grey and white."""
    drawn = RingSpecies(num_samples=3, seed=7, img_size=SIZE, cache_dir=None)
    pictures = []
    for i, brightness in enumerate(PLACES.values()):
        bird = drawn.get_data_info(i)
        grey = cv2.cvtColor(bird['img'], cv2.COLOR_BGR2GRAY)
        grey[bird['part_mask'] == 0] = round(255 * brightness)
        pictures.append(grey)
    return pictures


def attention() -> np.ndarray:
    """A map in multiples of even attention: ten times it in the middle, three
    times it in a corner."""
    rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE
    values = np.full((SIZE, SIZE), .5)
    for peak, y, x, width in ((10, .5, .5, .16), (3, .14, .14, .12)):
        far = ((rows - y)**2 + (columns - x)**2) / width**2
        values = np.maximum(values, peak * np.exp(-far))
    return values


def draw() -> Figure:
    """Curves above, pictures below."""
    figure = create_figure(figsize=(6.7, 6.8), dpi=110, margin=True)
    figure.set_layout_engine('constrained')
    grid = figure.add_gridspec(3, 6)
    values, pictures = attention(), birds()
    norm = attention_scale(values).norm
    for row, (name, cmap) in enumerate(SCALES.items()):
        ax = figure.add_subplot(grid[0, 3 * row:3 * row + 3])
        for place, brightness in PLACES.items():
            ax.plot(
                np.linspace(0, 1, 256),
                lightness(cmap, brightness),
                label=f'on {place}')
        ax.set_title(name, fontsize=8)
        ax.set_ylim(0, 101)
        ax.set_xlabel('place on the scale', fontsize=8)
        ax.set_ylabel('lightness L*', fontsize=8)
        ax.tick_params(labelsize=7)
        ax.legend(fontsize=7, frameon=False)
        for column, picture in enumerate(pictures):
            ax = figure.add_subplot(grid[1 + row, 2 * column:2 * column + 2])
            ax.imshow(picture, cmap='gray', vmin=0, vmax=255)
            ax.imshow(values, cmap=cmap, norm=norm)
            ax.set(xticks=[], yticks=[])
            if column == 0:
                ax.set_ylabel(name, fontsize=8)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', default='resources/heat.png')
    args = parser.parse_args()
    print(f'{"L* at":<22}{"start":>7}{"middle":>8}{"end":>7}')
    for name, cmap in SCALES.items():
        for place, brightness in PLACES.items():
            start, middle, end = lightness(cmap, brightness)[[0, 128, 255]]
            print(f'{f"{name}, on {place}":<22}'
                  f'{start:7.0f}{middle:8.0f}{end:7.0f}')
    save_figure(draw(), args.out)


if __name__ == '__main__':
    main()
