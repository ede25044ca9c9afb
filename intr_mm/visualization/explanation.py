from dataclasses import dataclass

import numpy as np

from .cell_geometry import CellGeometry


@dataclass
class Explanation:
    """What a model said of one image, and where its classes looked.

    Args:
        image: RGB image (H, W, 3), uint8, at its own resolution; where the
            pipeline crops, the part that the network saw.
        scores: Scores of all classes, (C, ).
        classes: The K classes whose maps follow.
        layers: The L decoder layers of the maps, from 0 on.
        maps: Attention, float32 of shape (L, K, heads, h, w), without the
            cells that are padding; each map sums to 1.
        geometry: Where the cells lie on the network's input.
        img_shape: Height and width in pixels of the network's input without
            padding. It shows the same as ``image``.
        name: Name of the image.
        gt_label: The true class.
        memory: What the maps weigh, float32 of shape (L, 1 + heads, h, w); see
            :func:`memory_norms`.
    """
    image: np.ndarray
    scores: np.ndarray
    classes: list[int]
    layers: list[int]
    maps: np.ndarray
    geometry: CellGeometry
    img_shape: tuple[int, int]
    name: str = ''
    gt_label: int | None = None
    memory: np.ndarray | None = None
