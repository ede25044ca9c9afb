"""Cells of maps on the pixels of masks, which show the input at any scale."""
import numpy as np

from intr_mm.visualization import CellGeometry


def centre_pixels(geometry: CellGeometry, num_cells: int, img_size: int,
                  mask_size: int) -> np.ndarray:
    """Pixels of a mask on which cells are centred, along one axis.

    Args:
        geometry: Where the cells lie on the network's input.
        num_cells: Number of cells ``n``.
        img_size: Size in pixels of the input without padding.
        mask_size: Size in pixels of the mask.

    Returns:
        int of shape (n, ).
    """
    pixels = geometry.stride * np.arange(num_cells) + geometry.offset
    pixels = (pixels + .5) * mask_size / img_size - .5
    return np.clip(np.round(pixels), 0, mask_size - 1).astype(int)


def interpolation_matrix(geometry: CellGeometry, num_cells: int, img_size: int,
                         mask_size: int) -> np.ndarray:
    """Linear interpolation from cells to the pixels of a mask, on one axis.

    Pixels beyond the outer cells take the value of the nearest one.

    Args:
        geometry: Where the cells lie on the network's input.
        num_cells: Number of cells ``n``.
        img_size: Size in pixels of the input without padding.
        mask_size: Size ``N`` in pixels of the mask.

    Returns:
        float64 of shape (N, n); each row sums to 1.
    """
    pixels = (np.arange(mask_size) + .5) * img_size / mask_size - .5
    cells = (pixels - geometry.offset) / geometry.stride
    cells = np.clip(cells, 0, num_cells - 1)
    return np.clip(1 - np.abs(cells[:, None] - np.arange(num_cells)), 0, None)
