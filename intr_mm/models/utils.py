"""Helpers of the models: feature maps, choices of classes."""
import re
from collections.abc import Sequence
from contextlib import nullcontext
from numbers import Integral

import torch
import torch.nn as nn
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


def last_of(feats: Tensor | Sequence[Tensor]) -> Tensor:
    """The last output of a backbone or neck, which may have several."""
    return feats if isinstance(feats, Tensor) else feats[-1]


def last_feature_map(feats: Tensor | Sequence[Tensor], channels: int,
                     user: str) -> Tensor:
    """The last feature map of a backbone or neck, checked.

    Args:
        feats: Output of a backbone or neck.
        channels: The number of channels expected.
        user: Name of the module that asks, for the error message.

    Returns:
        Shape (B, channels, H, W).

    Raises:
        ValueError: If it is no feature map or has other channels.
    """
    x = last_of(feats)
    if x.dim() != 4:
        raise ValueError(
            f'{user} needs a feature map (B, C, H, W) but got shape '
            f'{tuple(x.shape)}; remove the pooling neck, or set '
            "out_type='featmap' on a transformer backbone.")
    if x.size(1) != channels:
        raise ValueError(
            f'{user} expects {channels} channels but the feature map has '
            f'{x.size(1)}; set in_channels={x.size(1)} on {user}.')
    return x


def check_sizes(user: str, least: int = 1, **sizes: int) -> None:
    """Refuse sizes of a module that are no whole numbers, or too small.

    Raises:
        ValueError: One of them is.
    """
    if sizes.get('num_classes', 0) is None:
        raise ValueError(
            f'{user} needs num_classes: the tools take it from the data, '
            'elsewhere set model.head.num_classes.')
    for name, value in sizes.items():
        if not isinstance(value, Integral) or value < least:
            raise ValueError(f'{user} needs a whole number {name} >= {least}, '
                             f'got {value!r}.')


def check_split(embed_dims: int, num_heads: int) -> None:
    """Refuse a width that attention heads cannot share.

    Raises:
        ValueError: It is no multiple of their number.
    """
    if embed_dims % num_heads:
        raise ValueError(f'embed_dims={embed_dims} cannot be split among '
                         f'num_heads={num_heads}; choose a multiple.')


def xavier_init_matrices(module: nn.Module) -> None:
    """Initialise every parameter of two or more dimensions as DETR does.

    Args:
        module: Changed in place.
    """
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)


def without_autocast(x: Tensor):
    """Context in which what is computed from a tensor keeps its type."""
    if x.device.type == 'meta':  # which has no autocast to switch off
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)


def is_exporting() -> bool:
    """Whether a graph of any batch and size is being recorded, which Python
    must not take sizes or values from. PyTorch 2.1 cannot tell."""
    return getattr(torch.compiler, 'is_compiling', bool)()


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
    if is_exporting():  # which fixes no values; gathering refuses them later
        return index
    bad = index[(index < 0) | (index >= num_classes)]
    if bad.numel():
        raise IndexError(f'Class {bad[0].item()} is out of range for '
                         f'{num_classes} classes.')
    return index


def select_classes(spec: Sequence[str | int] | Tensor,
                   scores: Tensor,
                   gt_labels: Sequence[Tensor] | None = None,
                   pred_labels: Sequence[Tensor] | None = None) -> Tensor:
    """Class indices that a specification asks for, image by image.

    Args:
        spec: Each item is ``'pred'`` (the predicted class, or all where there
            are several), ``'gt'`` (the same of the true ones), ``'topN'`` (the
            N best classes, such as ``'top3'``) or a class index.
        scores: Scores or logits of shape (B, C).
        gt_labels: The true classes of each image. Needed for ``'gt'`` only.
        pred_labels: The predicted classes of each image. None means the best
            one.

    Returns:
        Long tensor of shape (B, K), in the order of the specification; a class
        asked for twice stands twice. Rows of images that have fewer classes
        than others end in -1, and the best class stands for none.

    Raises:
        ValueError: If an item is unknown, out of range, or needs labels that
            are not given.
    """
    batch, num_classes = scores.shape
    if isinstance(spec, Tensor):
        return class_index(spec, num_classes, scores)
    best = scores.argmax(1, keepdim=True)
    columns = []  # of each item, for each image its classes
    for item in spec:
        top = re.fullmatch(r'top(\d+)', str(item))
        if item == 'pred':
            columns.append(best if pred_labels is None else pred_labels)
        elif item == 'gt':
            if gt_labels is None:
                raise ValueError("The class 'gt' was asked for but the "
                                 'samples carry no gt_label; ask for '
                                 "'pred' instead.")
            columns.append(gt_labels)
        elif top and 0 < int(top[1]) <= num_classes:
            columns.append(scores.topk(int(top[1]), dim=1).indices)
        elif isinstance(item, int) and 0 <= item < num_classes:
            columns.append(scores.new_full((batch, 1), item, dtype=torch.long))
        else:
            raise ValueError(
                f"Class {item!r} is not understood; use 'pred', 'gt', 'topN' "
                f'with N <= {num_classes}, or an index below {num_classes}.')
    if not columns:
        raise ValueError("No classes were asked for; give at least 'pred'.")
    rows = [
        torch.cat([part.flatten().to(best) for part in parts])
        for parts in zip(*columns)
    ]
    rows = [row if len(row) else best[i] for i, row in enumerate(rows)]
    return pad_sequence(rows, batch_first=True, padding_value=-1)
