from collections.abc import Sequence

import torch
from torch import Tensor


def class_index(classes: Tensor | Sequence[int] | None, num_classes: int,
                memory: Tensor) -> Tensor:
    """The asked classes of each image, checked.

    Args:
        classes: K class indices, the same for all images, or (B, K) of them.
            None means all classes.
        num_classes: Number of classes of the head.
        memory: Feature map of shape (B, D, H, W), which gives the batch and
            the device.

    Returns:
        Long tensor of shape (B, K) on the device of ``memory``.

    Raises:
        ValueError: If ``classes`` is of another shape.
        IndexError: If a class is out of range.
    """
    if classes is None:
        classes = range(num_classes)
    if not isinstance(classes, Tensor):
        classes = torch.as_tensor(list(classes))
    index = classes.to(memory.device).long()
    if index.dim() == 1:
        index = index.expand(memory.size(0), -1)
    if index.dim() != 2 or index.size(0) != memory.size(0):
        raise ValueError(
            'classes must hold K indices or (B, K) of them, but has shape '
            f'{tuple(classes.shape)} for a batch of {memory.size(0)}.')
    bad = index[(index < 0) | (index >= num_classes)]
    if bad.numel():
        raise IndexError(f'Class {bad[0].item()} is out of range for '
                         f'{num_classes} classes.')
    return index
