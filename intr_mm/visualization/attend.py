from typing import Sequence, Tuple

import numpy as np
import torch
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from intr_mm.models.utils import make_padding_mask, valid_grid
from .cell_geometry import CellGeometry, geometry_of, trace_cells


@torch.no_grad()
def attend(model: nn.Module,
           image: Tensor,
           classes: Sequence[int],
           layer: int = -1) -> Tuple[np.ndarray, CellGeometry]:
    """Where classes look in one image.

    With several queries per class, it is where the query that decided the
    class's score looks.

    Args:
        model (nn.Module): ``INTRClassifier``, or mmpretrain's
            ``ImageClassifier`` with an ``INTRHead``, in eval mode.
        image (Tensor): What the pipeline gives, (3, H, W), not normalised.
        classes (Sequence[int]): K class indices.
        layer (int): Decoder layer. Defaults to -1, the last.

    Returns:
        tuple[np.ndarray, CellGeometry]: Attention of shape (K, heads, h, w)
        without the cells that are padding, and where its cells lie.
    """
    data = model.data_preprocessor(
        dict(inputs=[image], data_samples=[DataSample()]))
    inputs, samples = data['inputs'], data['data_samples']
    asked = dict(classes=classes, layer=layer, deciding_only=True)
    with trace_cells(model) as cells:
        if hasattr(model, 'get_attention'):
            attention = model.get_attention(inputs, samples, **asked)
        else:
            attention = model.head.get_attention(
                model.extract_feat(inputs), **asked)
    geometry = geometry_of(cells, tuple(attention.shape[-2:]))
    samples[0].set_metainfo(
        dict(
            img_shape=tuple(image.shape[-2:]),
            batch_input_shape=tuple(inputs.shape[-2:])))
    mask = make_padding_mask(samples, attention[:, 0])
    attention = attention[0]
    if mask is not None:
        rows, columns = valid_grid(mask)[0]
        attention = attention[..., :rows, :columns]
    return attention.cpu().numpy(), geometry
