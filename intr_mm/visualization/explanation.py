from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from .cell_geometry import CellGeometry


@dataclass
class Explanation:
    """What a model said of one image, and where its classes looked.

    Args:
        image (np.ndarray): RGB image (H, W, 3), uint8, at its own resolution;
            where the pipeline crops, the part that the network saw.
        scores (np.ndarray): Scores of all classes, (C, ).
        classes (list[int]): The K classes whose maps follow.
        layers (list[int]): The L decoder layers of the maps, from 0 on.
        maps (np.ndarray): Attention, float32 of shape (L, K, heads, h, w),
            without the cells that are padding; each map sums to 1.
        geometry (CellGeometry): Where the cells lie on the network's input.
        img_shape (tuple[int, int]): Height and width in pixels of the
            network's input without padding. It shows the same as ``image``.
        name (str): Name of the image. Defaults to ''.
        gt_label (int, optional): The true class. Defaults to None.
        memory (np.ndarray, optional): What the maps weigh, float32 of shape
            (L, 1 + heads, h, w); see :func:`memory_norms`. Defaults to None.
    """
    image: np.ndarray
    scores: np.ndarray
    classes: List[int]
    layers: List[int]
    maps: np.ndarray
    geometry: CellGeometry
    img_shape: Tuple[int, int]
    name: str = ''
    gt_label: Optional[int] = None
    memory: Optional[np.ndarray] = None
