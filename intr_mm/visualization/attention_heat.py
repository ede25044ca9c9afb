import numpy as np
import torch
import torch.nn.functional as F

from .cell_geometry import CellGeometry


def sample_attention(attention: np.ndarray, geometry: CellGeometry,
                     img_shape: tuple[int, int],
                     out_shape: tuple[int, int]) -> np.ndarray:
    """Attention at the pixels of a picture, each cell where it really is.

    The picture shows the network's input at any scale. Between the centres of
    cells the value is interpolated bilinearly, outside them it is that of the
    nearest cell.

    Args:
        attention: Maps of shape (N, h, w), without the cells that are padding.
        geometry: Where the cells lie on the input.
        img_shape: Height and width in pixels of the input without padding.
        out_shape: Height H and width W of the picture.

    Returns:
        float32 of shape (N, H, W).
    """
    axes = []
    for cells, size, out in zip(attention.shape[-2:], img_shape, out_shape):
        pixel = (torch.arange(out, dtype=torch.float64) + .5) * size / out - .5
        cell = (pixel - geometry.offset) / geometry.stride
        # grid_sample spans the cells' outer edges with [-1, 1].
        axes.append((2 * cell + 1) / cells - 1)
    y, x = torch.meshgrid(*axes, indexing='ij')
    heat = F.grid_sample(
        torch.as_tensor(attention, dtype=torch.float64)[None],
        torch.stack((x, y), dim=-1)[None],
        padding_mode='border',
        align_corners=False)
    return heat[0].float().numpy()
