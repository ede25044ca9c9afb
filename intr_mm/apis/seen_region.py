from collections.abc import Callable

import numpy as np

# Resampling rounds to grey levels and blurs edges.
_TOLERANCE = 4


def seen_region(pipeline: Callable, shape: tuple[int,
                                                 int]) -> tuple[slice, slice]:
    """The part of an image that a pipeline shows to the network.

    A picture whose grey levels tell their place is sent through the pipeline,
    so any resizing and cropping is understood.

    Args:
        pipeline: Takes ``dict(img=...)`` and packs it, as that of a data set
            after loading; the same for every image of a size.
        shape: Height and width of the image in pixels.

    Returns:
        Rows and columns of the image, to a pixel.

    Raises:
        ValueError: If the pipeline does more than resize and crop.
    """
    rows, columns = (
        np.linspace(0, 255, size).round().astype(np.uint8) for size in shape)
    probe = np.empty((*shape, 3), np.uint8)
    # Alike in BGR and RGB.
    probe[..., ::2] = columns[None, :, None]
    probe[..., 1] = rows[:, None]
    seen = pipeline(dict(img=probe, img_shape=shape, ori_shape=shape))
    seen = seen['inputs'].double().numpy()
    return tuple(
        _fit(levels, size)
        for levels, size in zip((seen[1], seen[0].T), shape))


def _fit(levels: np.ndarray, size: int) -> slice:
    """Pixels of an axis of the image on which the rows of a view lie."""
    if size == 1:
        return slice(0, 1)
    cells = np.arange(len(levels))
    inner = slice(len(levels) // 16, len(levels) - len(levels) // 16)
    slope, start = np.polyfit(cells[inner], levels.mean(1)[inner], 1)
    expected = (slope * cells + start)[:, None]
    # Enlarged images are flat up to half a pixel from their edge.
    tolerance = max(_TOLERANCE, .5 * 255 / (size - 1))
    if slope < 0 or np.abs(levels - expected)[inner].max() > tolerance:
        raise ValueError(
            'Maps cannot be placed on the image, as the pipeline of '
            'test_dataloader does more than resize and crop it: take the '
            'other transforms out of it, or ask for maps on cells only.')
    per_level = (size - 1) / 255
    first = (start - slope / 2) * per_level + .5
    last = (start + slope * (len(levels) - .5)) * per_level + .5
    first, last = (int(round(edge)) for edge in (first, last))
    return slice(max(first, 0), min(last, size))
