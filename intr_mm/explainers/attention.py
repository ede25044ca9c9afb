from collections.abc import Sequence

import torch
from mmpretrain.registry import TASK_UTILS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from intr_mm.models.utils import (ask_attention, make_padding_mask,
                                  prepare_images, valid_grid)
from intr_mm.visualization import CellGeometry, geometry_of, trace_cells
from .base import BaseExplainer, CellMaps


@TASK_UTILS.register_module()
class AttentionExplainer(BaseExplainer):
    """Where a class looks: INTR's own explanation.

    Args:
        heads: ``'mean'`` gives the mean of the heads, ``'each'`` one map for
            each head, ``'all'`` the mean and then each.
        layer: Decoder layer. -1 means the last.
    """

    def __init__(self, heads: str = 'mean', layer: int = -1) -> None:
        if heads not in ('mean', 'each', 'all'):
            raise ValueError(f'AttentionExplainer got heads={heads!r}: use '
                             "'mean', 'each' or 'all'.")
        self.heads = heads
        self.layer = layer

    def names(self, model: nn.Module) -> list[str]:
        """See :class:`BaseExplainer`."""
        attention = model.head.decoder.layers[self.layer].cross_attn
        each = [f'head{i + 1}' for i in range(attention.num_heads)]
        return dict(mean=['mean'], each=each, all=['mean', *each])[self.heads]

    @torch.no_grad()
    def __call__(self, model: nn.Module, inputs: Sequence[Tensor],
                 classes: Tensor) -> list[CellMaps]:
        """See :class:`BaseExplainer`."""
        images, samples = prepare_images(model, inputs)
        with trace_cells(model) as cells:
            attention = self._maps(model, images, samples, classes)
        if self.heads == 'mean':
            attention = attention.mean(1, keepdim=True)
        elif self.heads == 'all':
            mean = attention.mean(1, keepdim=True)
            attention = torch.cat((mean, attention), dim=1)
        return pack_maps(attention, inputs, samples,
                         geometry_of(cells, tuple(attention.shape[-2:])))

    def _maps(self, model: nn.Module, images: Tensor,
              samples: list[DataSample], classes: Tensor) -> Tensor:
        """Maps (B, heads, H, W) of one class of each image."""
        return ask_attention(
            model,
            images,
            samples,
            classes=classes[:, None],
            layer=self.layer,
            deciding_only=True)[:, 0]


def pack_maps(maps: Tensor, inputs: Sequence[Tensor],
              samples: list[DataSample],
              geometry: CellGeometry) -> list[CellMaps]:
    """Cut the padding off a batch's maps.

    Args:
        maps: Shape (B, M, H, W) on the grid of the padded batch.
        inputs: B images (3, h, w).
        samples: From :func:`prepare_images`.
        geometry: Where the cells lie.

    Returns:
        One for each image.
    """
    mask = make_padding_mask(samples, maps)
    grids = [maps.shape[-2:]] * len(maps)
    if mask is not None:
        grids = valid_grid(mask)
    return [
        CellMaps(map_[:, :h, :w].detach().float().cpu().numpy(), geometry,
                 tuple(image.shape[-2:]))
        for map_, image, (h, w) in zip(maps, inputs, grids)
    ]
