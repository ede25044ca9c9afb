from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from intr_mm.models.utils import (ask_attention, make_padding_mask,
                                  prepare_images, valid_grid)
from .cell_geometry import CellGeometry, geometry_of, trace_cells


@torch.no_grad()
def attend(model: nn.Module,
           image: Tensor,
           classes: Sequence[int],
           layer: int = -1) -> tuple[np.ndarray, CellGeometry]:
    """Where classes look in one image.

    With several queries per class, it is where the query that decided the
    class's score looks.

    Args:
        model: ``INTRClassifier``, or mmpretrain's ``ImageClassifier`` with an
            ``INTRHead``, in eval mode.
        image: What the pipeline gives, (3, H, W), not normalised.
        classes: K class indices.
        layer: Decoder layer. -1 means the last.

    Returns:
        Attention of shape (K, heads, h, w) without the cells that are padding,
        and where its cells lie.
    """
    images, samples = prepare_images(model, [image])
    with trace_cells(model) as cells:
        attention = ask_attention(
            model,
            images,
            samples,
            classes=classes,
            layer=layer,
            deciding_only=True)
    geometry = geometry_of(cells, tuple(attention.shape[-2:]))
    mask = make_padding_mask(samples, attention[:, 0])
    attention = attention[0]
    if mask is not None:
        rows, columns = valid_grid(mask)[0]
        attention = attention[..., :rows, :columns]
    return attention.cpu().numpy(), geometry
