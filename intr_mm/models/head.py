from collections.abc import Sequence

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS
from torch import Tensor

from .base_head import BaseExplainingHead, Decoded
from .transformer import INTRTransformerDecoder, detr_layer_cfg
from .utils import check_sizes, last_feature_map, xavier_init_matrices


@MODELS.register_module()
class INTRHead(BaseExplainingHead):
    """Head of INTR: each class looks for itself by cross-attention.

    One learnable query per class starts from zeros, passes DETR's decoder and
    is scored by one presence vector that all classes share. As the scorer
    cannot tell the classes apart, their attention has to: the cross-attention
    is the explanation.

    Paper: `A Simple Interpretable Transformer for Fine-Grained Image
    Classification and Analysis <https://arxiv.org/abs/2311.04157>`_, Sec. 3.

    Args:
        num_classes: Number of classes ``C``.
        embed_dims: Width ``D`` of the tokens.
        num_layers: Number of decoder layers, at least 1.
        num_heads: Number of attention heads.
        feedforward_channels: Hidden width of the feed-forward networks.
        dropout: Dropout probability.
        in_channels: Channels of the incoming feature map, if the head shall
            bring it to ``embed_dims`` by a 1x1 convolution. None, as behind
            :class:`INTREncoder`, takes the map as it is.
        loss: Config of the classification loss.
        queries_per_class: Number of queries ``k`` of each class, in the rows
            ``c * k`` to ``c * k + k - 1`` of ``query_embed``. The best of them
            decides: the class's logit is the maximum of their scores, and in
            training only the winner's score gets a gradient.
        with_cp: Whether to compute the decoder's layers again in the backward
            pass instead of keeping what they computed, which saves memory in
            training.
        **kwargs: ``test_cfg`` of :class:`BaseExplainingHead`, and ``topk``,
            ``cal_acc`` and ``init_cfg`` of :class:`mmpretrain.models.ClsHead`.
    """

    def __init__(self,
                 num_classes: int,
                 embed_dims: int = 256,
                 num_layers: int = 6,
                 num_heads: int = 8,
                 feedforward_channels: int = 2048,
                 dropout: float = 0.1,
                 in_channels: int | None = None,
                 loss: dict = dict(type='CrossEntropyLoss', loss_weight=1.0),
                 queries_per_class: int = 1,
                 with_cp: bool = False,
                 **kwargs) -> None:
        super().__init__(loss=loss, **kwargs)
        check_sizes(
            'INTRHead',
            num_classes=num_classes,
            embed_dims=embed_dims,
            num_layers=num_layers,
            num_heads=num_heads,
            feedforward_channels=feedforward_channels,
            queries_per_class=queries_per_class)
        self.num_classes = num_classes
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.queries_per_class = queries_per_class
        self.embed_dims = embed_dims
        self.in_channels = in_channels
        self.input_proj = None
        if in_channels is not None:
            self.input_proj = nn.Conv2d(in_channels, embed_dims, 1)
        self.query_embed = nn.Embedding(num_classes * queries_per_class,
                                        embed_dims)
        self.decoder = INTRTransformerDecoder(
            num_layers,
            detr_layer_cfg(embed_dims, num_heads, feedforward_channels,
                           dropout, ('self_attn_cfg', 'cross_attn_cfg')),
            with_cp)
        self.presence_vector = nn.Linear(embed_dims, 1)

    def init_weights(self) -> None:
        """Xavier for decoder and presence vector, as DETR and INTR."""
        # Before super(), which may load pretrained weights over it.
        xavier_init_matrices(self.decoder)
        xavier_init_matrices(self.presence_vector)
        nn.init.zeros_(self.presence_vector.bias)
        super().init_weights()

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """See :class:`BaseExplainingHead`."""
        if self.input_proj is None:
            return last_feature_map(feats, self.embed_dims, 'INTRHead')
        return self.input_proj(
            last_feature_map(feats, self.in_channels, 'INTRHead'))

    def decode(
            self,
            memory: Tensor,
            padding_mask: Tensor | None = None,
            layers: Sequence[int] = (),
    ) -> Decoded:
        """See :class:`BaseExplainingHead`."""
        layers = {self.layer_index(layer) for layer in layers}
        query_pos = self.query_embed.weight.expand(  # (B, C * k, D)
            memory.size(0), -1, -1)
        hidden, attending = self.decoder(None, _tokens(memory), query_pos,
                                         _tokens(padding_mask), layers)
        logits, deciding = self.best_queries(self.score(hidden))
        return Decoded(logits, memory, padding_mask, deciding, attending)

    def convert(self, dtype: torch.dtype) -> None:
        """See :class:`BaseExplainingHead`; scores of many classes lie close
        together."""
        self.to(dtype)
        self.presence_vector.float()

    def score(self, hidden: Tensor) -> Tensor:
        """Presence (...) of decoded queries (..., D)."""
        # which convert keeps in float32
        hidden = hidden.to(self.presence_vector.weight.dtype)
        return self.presence_vector(hidden).squeeze(-1)

    def maps(self,
             decoded: Decoded,
             classes: Tensor | None = None,
             layer: int = -1) -> Tensor:
        """See :class:`BaseExplainingHead`."""
        layer = self.layer_index(layer)
        query, query_pos = self._attending(decoded, classes, layer)
        weights = self.decoder.layers[layer].cross_attn.attention_weights(
            query, _tokens(decoded.memory), query_pos,
            _tokens(decoded.padding_mask))  # (B, heads, K, HW)
        return weights.transpose(1, 2).unflatten(-1, decoded.memory.shape[-2:])

    def rescore(self,
                decoded: Decoded,
                maps: Tensor,
                classes: Tensor | None = None) -> Tensor:
        """See :class:`BaseExplainingHead`."""
        layer = self.decoder.layers[-1]
        query, _ = self._attending(decoded, classes, self.num_layers - 1)
        query = layer.cross_attn.forward_weights(
            query,
            maps.flatten(3).transpose(1, 2),  # (B, heads, K or 1, HW)
            _tokens(decoded.memory))
        hidden = self.decoder.post_norm(layer.after_attention(query))
        scores = self.score(hidden)  # (B, K) or (B, C * k)
        return scores if classes is not None else self.best_queries(scores)[0]

    def memory_norms(self, memory: Tensor, layer: int = -1) -> Tensor:
        """See :class:`BaseExplainingHead`."""
        attention = self.decoder.layers[layer].cross_attn
        value = attention.values(_tokens(memory)).norm(dim=-1)
        value = value.unflatten(-1, memory.shape[-2:])  # (B, heads, h, w)
        distance = memory - memory.mean((2, 3), keepdim=True)
        return torch.cat((distance.norm(dim=1, keepdim=True), value),
                         1).float()

    def _attending(self, decoded: Decoded, classes: Tensor | None,
                   layer: int) -> tuple[Tensor, Tensor]:
        """Queries as they enter a cross-attention, and their positions."""
        query = decoded.attending[layer]  # (B, C * k, D)
        if classes is None:
            return query, self.query_embed.weight
        rows = decoded.deciding.gather(1, classes)  # (B, K)
        chosen = rows.unsqueeze(-1).expand(-1, -1, self.embed_dims)
        return query.gather(1, chosen), self.query_embed.weight[rows]


def _tokens(grid: Tensor | None) -> Tensor | None:
    """(B, D, H, W) -> (B, HW, D), or a mask (B, H, W) -> (B, HW)."""
    if grid is None or grid.dim() == 3:
        return grid if grid is None else grid.flatten(1)
    return grid.flatten(2).transpose(1, 2)
