"""Images of several sizes in one batch: which of its cells are padding."""
from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import Tensor

Shape = tuple[int, int]


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
    shapes = image_shapes(data_samples)
    if shapes is None:
        return None
    padded = data_samples[0].batch_input_shape
    return _beside(feat, mask_outside(shapes, padded, feat.shape[-2:]))


def image_shapes(data_samples: list[DataSample] | None) -> list[tuple] | None:
    """Height and width in pixels of each image of a batch without its padding;
    None if they are not known."""
    if not data_samples or any(
            sample is None or 'batch_input_shape' not in sample
            for sample in data_samples):
        return None
    return [tuple(sample.img_shape[:2]) for sample in data_samples]


def mask_outside(shapes: list[Shape], padded: Shape,
                 grid: Shape) -> Tensor | None:
    """Bool of shape (B, H, W) on the CPU, True where a cell is padding, by
    nearest interpolation; None where none is.

    Args:
        shapes: Height and width of each image, in pixels or cells.
        padded: Those of the padded batch, in the same.
        grid: Height and width of the feature map.
    """
    if all(shape == tuple(padded) for shape in shapes):
        return None
    rows, columns = (
        _valid_cells([shape[axis]
                      for shape in shapes], padded[axis], grid[axis])
        for axis in range(2))
    return ~(rows[:, :, None] & columns[:, None, :])


def _valid_cells(valid: list[int], padded: int, cells: int) -> Tensor:
    """Bool of shape (B, cells): nearest interpolation of one axis."""
    pixels = torch.arange(padded)[None] < torch.tensor(valid)[:, None]
    return F.interpolate(pixels[:, None].float(), size=cells)[:, 0].bool()


def cut_padding(maps: Tensor, padding_mask: Tensor | None) -> list[Tensor]:
    """Leave out the cells that are padding.

    Args:
        maps: Shape (B, ..., H, W) on the grid of the padded batch.
        padding_mask: Bool of shape (B, H, W). None means that none is.

    Returns:
        For each image its maps, (..., h, w).
    """
    if padding_mask is None:
        return list(maps)
    valid = ~padding_mask
    heights = valid.any(2).sum(1).tolist()
    widths = valid.any(1).sum(1).tolist()
    return [
        of_image[..., :h, :w] for of_image, h, w in zip(maps, heights, widths)
    ]


def shapes_alone(shapes: Sequence[Shape],
                 data_preprocessor: nn.Module) -> list[Shape]:
    """Height and width of images with the padding that a preprocessor gives
    each of them, whatever shares its batch."""
    divisor = getattr(data_preprocessor, 'pad_size_divisor', 1)
    return [
        tuple(-(-edge // divisor) * divisor for edge in shape)
        for shape in shapes
    ]


def places_by_shape(shapes: Sequence[Shape]) -> dict[Shape, list[int]]:
    """Of each shape the places that have it, in order."""
    places = {}
    for place, shape in enumerate(shapes):
        places.setdefault(shape, []).append(place)
    return places


def pad_maps(maps: Sequence[Tensor]) -> Tensor:
    """Maps (..., h, w) of several sizes as one batch, (B, ..., H, W)."""
    height, width = (
        max(of_image.size(axis) for of_image in maps) for axis in (-2, -1))
    return torch.stack([
        F.pad(of_image,
              (0, width - of_image.size(-1), 0, height - of_image.size(-2)))
        for of_image in maps
    ])


def padding_of(shapes: list[Shape], seen: list[Shape], grids: list[Shape],
               feat: Tensor) -> Tensor | None:
    """Which cells of a feature map (B, C, H, W) are padding, (B, H, W), where
    image and grid of each are padded further; None if none are."""
    if len(set(seen)) == 1:
        return _beside(feat, mask_outside(shapes, seen[0], feat.shape[-2:]))
    mask = torch.ones(len(feat), *feat.shape[-2:], dtype=torch.bool)
    for of_image, shape, padded, grid in zip(mask, shapes, seen, grids):
        inside = mask_outside([shape], padded, grid)
        height, width = grid
        of_image[:height, :width] = False if inside is None else inside[0]
    return _beside(feat, mask)


def _beside(feat: Tensor, mask: Tensor | None) -> Tensor | None:
    # One copy, for which the processor does not wait until a GPU is done.
    return None if mask is None else mask.to(feat.device, non_blocking=True)
