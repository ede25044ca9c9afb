import re
from collections.abc import Sequence

import torch
from torch import Tensor


def select_classes(spec: Sequence[str | int],
                   scores: Tensor,
                   gt_labels: Tensor | None = None) -> Tensor:
    """Class indices that a specification asks for, image by image.

    Args:
        spec: Each item is ``'pred'`` (the predicted class), ``'gt'`` (the true
            class), ``'topN'`` (the N best classes, such as ``'top3'``) or a
            class index.
        scores: Scores or logits of shape (B, C).
        gt_labels: True classes of shape (B, ). Needed for ``'gt'`` only.

    Returns:
        Long tensor of shape (B, K), in the order of the specification; a class
        asked for twice stands twice.

    Raises:
        ValueError: If an item is unknown, out of range, or needs labels that
            are not given.
    """
    batch, num_classes = scores.shape
    columns = []
    for item in spec:
        top = re.fullmatch(r'top(\d+)', str(item))
        if item == 'pred':
            columns.append(scores.argmax(1, keepdim=True))
        elif item == 'gt':
            if gt_labels is None:
                raise ValueError("The class 'gt' was asked for but the "
                                 'samples carry no gt_label; ask for '
                                 "'pred' instead.")
            columns.append(gt_labels.to(scores.device).view(batch, 1))
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
    return torch.cat(columns, dim=1).long()
