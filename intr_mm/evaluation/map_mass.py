"""How much of a map's mass lies in a region, and in that of another image.

As in the energy-based pointing game of `Score-CAM
<https://arxiv.org/abs/1910.01279>`_ (CVPR Workshops 2020), a map is
interpolated bilinearly to the pixels, each cell where it really lies, and its
positive values are summed. The sum is linear in the cells: each cell has a
share of the mass, and each region covers a share of each cell.
"""

import numpy as np
import torch
import torch.nn.functional as F

# More cells than these per side are merged for the control, so that maps of
# single pixels can be kept for whole data sets.
_MAX_SIDE = 56


def cell_cover(regions: dict[str, np.ndarray], rows: np.ndarray,
               columns: np.ndarray) -> tuple[np.ndarray, dict]:
    """Weight of each cell, and the share of it that each region covers.

    Args:
        regions: Bool masks (H, W).
        rows: Of :meth:`CellGeometry.interpolation`, (H, h).
        columns: The same of shape (W, w).

    Returns:
        Weights (h, w) that sum to 1, and shares (h, w) between 0 and 1.
    """
    weight = np.outer(rows.sum(0), columns.sum(0))
    cover = {
        name:
        np.divide(
            rows.T @ mask @ columns,
            weight,
            out=np.zeros_like(weight),
            where=weight > 0)
        for name, mask in regions.items()
    }
    return weight / weight.sum(), cover


def cell_mass(heat: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Share of the map's positive mass in each cell.

    Args:
        heat: Map (h, w).
        weight: Weight (h, w) of each cell.

    Returns:
        Shape (h, w), sums to 1. A map without a positive value says nothing,
        and its mass is that of an even map.
    """
    mass = np.clip(heat, 0, None) * weight
    return mass / mass.sum() if mass.sum() > 0 else weight


def merge_cells(values: np.ndarray) -> np.ndarray:
    """Merge cells by their mean, down to at most 56 per side.

    Args:
        values: Shape (h, w).

    Returns:
        float32 of shape (min(h, 56), min(w, 56)).
    """
    grid = tuple(min(n, _MAX_SIDE) for n in values.shape)
    return _to_grid(values, grid).astype(np.float32)


def mass_of_others(masses: list[np.ndarray],
                   covers: list[np.ndarray]) -> np.ndarray:
    """Mass that the other images' maps have in each image's region.

    Args:
        masses: Of each of N images the mass (h, w) of its cells. Images of
            other grids share relative positions.
        covers: Of each image the covered share (h, w).

    Returns:
        Shape (N, ), the mean over the N - 1 other images; NaN for a single
        image.
    """
    if len(masses) == 1:
        return np.array([np.nan])
    masses = [mass / mass.sum(dtype=np.float64) for mass in masses]
    of_grid = {}
    for mass in masses:
        of_grid[mass.shape] = of_grid.get(mass.shape, 0) + mass
    # Linear in the maps, so that all pairs of images cost one sum.
    sums = {
        grid: sum(_move_mass(total, grid) for total in of_grid.values())
        for grid in of_grid
    }
    return np.array([
        ((sums[mass.shape] - mass) * cover).sum() / (len(masses) - 1)
        for mass, cover in zip(masses, covers)
    ])


def _move_mass(mass: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    moved = _to_grid(mass, grid)
    return moved * (mass.sum() / moved.sum())


def _to_grid(values: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    values = torch.as_tensor(values, dtype=torch.float64)[None]
    return F.adaptive_avg_pool2d(values, grid)[0].numpy()
