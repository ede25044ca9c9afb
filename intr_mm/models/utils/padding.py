"""Which cells of a feature grid are padding.

A batch of images of different sizes is padded with zeros at the right and at
the bottom. DETR and INTR bring the pixels' mask to the feature grid by nearest
interpolation; here the same is done on one row and one column.
"""

import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import Tensor


def make_padding_mask(data_samples: list[DataSample] | None,
                      feat: Tensor) -> Tensor | None:
    """Padding mask of a batch on the grid of a feature map.

    Args:
        data_samples: With the metainfo ``img_shape`` and
            ``batch_input_shape``, both (height, width) in pixels, as
            :class:`INTRDataPreprocessor` writes them.
        feat: Feature map of shape (B, C, H, W).

    Returns:
        Bool of shape (B, H, W), True where a cell is padding; None if no image
        is padded, or nothing is known of the sizes.
    """
    if not data_samples or data_samples[0] is None:
        return None
    if any('batch_input_shape' not in sample for sample in data_samples):
        return None
    padded = data_samples[0].batch_input_shape
    valid = [tuple(sample.img_shape[:2]) for sample in data_samples]
    if all(shape == tuple(padded) for shape in valid):
        return None
    rows, columns = (
        _valid_cells([shape[axis] for shape in valid], padded[axis],
                     feat.size(axis + 2)) for axis in range(2))
    return ~(rows[:, :, None] & columns[:, None, :]).to(feat.device)


def _valid_cells(valid: list[int], padded: int, cells: int) -> Tensor:
    """Bool of shape (B, cells): nearest interpolation of one axis."""
    pixels = torch.arange(padded)[None] < torch.tensor(valid)[:, None]
    return F.interpolate(pixels[:, None].float(), size=cells)[:, 0].bool()


def valid_grid(padding_mask: Tensor) -> list[tuple[int, int]]:
    """Rows and columns of the feature grid that are not padding.

    Args:
        padding_mask: Bool of shape (B, H, W).

    Returns:
        (height, width) in cells of each image.
    """
    valid = ~padding_mask
    heights = valid.any(2).sum(1).tolist()
    widths = valid.any(1).sum(1).tolist()
    return list(zip(heights, widths))
