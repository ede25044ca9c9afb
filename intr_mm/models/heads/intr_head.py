from collections.abc import Sequence

import torch
import torch.nn as nn
from mmpretrain.models.heads import ClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from ..layers import INTRTransformerDecoder, detr_layer_cfg
from ..utils import (class_index, last_feature_map, select_classes, valid_grid,
                     xavier_init_matrices)


@MODELS.register_module()
class INTRHead(ClsHead):
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
        **kwargs: ``topk``, ``cal_acc`` and ``init_cfg`` of
            :class:`mmpretrain.models.ClsHead`.
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
        if num_classes is None:
            raise ValueError(
                'INTRHead needs num_classes: the tools take it from the data, '
                'elsewhere set model.head.num_classes.')
        sizes = dict(
            num_classes=num_classes,
            num_layers=num_layers,
            queries_per_class=queries_per_class)
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f'INTRHead needs {name} >= 1, got {value}.')
        self.num_classes = num_classes
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
        """The feature map the classes look at.

        Args:
            feats: The last one has shape (B, C_in, H, W).

        Returns:
            The memory, shape (B, D, H, W).
        """
        if self.input_proj is None:
            return last_feature_map(feats, self.embed_dims, 'INTRHead')
        return self.input_proj(
            last_feature_map(feats, self.in_channels, 'INTRHead'))

    def forward(self,
                feats: tuple[Tensor, ...],
                padding_mask: Tensor | None = None) -> Tensor:
        """Score every class.

        Args:
            feats: The last one has shape (B, C_in, H, W).
            padding_mask: Bool of shape (B, H, W), True where a cell is
                padding. None means that none is.

        Returns:
            Logits of shape (B, C).
        """
        return self._decode(self.pre_logits(feats), padding_mask)[0]

    def loss(self,
             feats: tuple[Tensor, ...],
             data_samples: list[DataSample],
             padding_mask: Tensor | None = None,
             **kwargs) -> dict:
        """Classification loss; see :meth:`ClsHead.loss`.

        Args:
            feats: The last one has shape (B, C_in, H, W).
            data_samples: With ``gt_label`` or ``gt_score``.
            padding_mask: Bool of shape (B, H, W).
            **kwargs: Passed to the loss module.

        Returns:
            The loss components.
        """
        return self._get_loss(
            self(feats, padding_mask), data_samples, **kwargs)

    def predict(self,
                feats: tuple[Tensor, ...],
                data_samples: list[DataSample | None] | None = None,
                padding_mask: Tensor | None = None,
                attention: dict | None = None) -> list[DataSample]:
        """Predict, and on request say where classes looked.

        Args:
            feats: The last one has shape (B, C_in, H, W).
            data_samples: Filled and returned.
            padding_mask: Bool of shape (B, H, W).
            attention: ``classes`` (see :func:`select_classes`) and ``layer``
                (default -1) of the maps to keep. None, the default, computes
                none.

        Returns:
            With ``pred_score`` (C, ) and ``pred_label``; if asked for,
            ``attention_classes`` (K, ) and ``attention`` (K, heads, h, w) on
            the h x w cells that are not padding. With several queries per
            class, the map is that of the query that decided the class's score.
        """
        if attention is None:
            logits = self(feats, padding_mask)
            return self._get_predictions(logits, data_samples)

        memory = self.pre_logits(feats)
        layer = attention.get('layer', -1)
        logits, winners, attending = self._decode(memory, padding_mask, layer)
        results = self._get_predictions(logits, data_samples)
        labels = None
        if all('gt_label' in sample for sample in results):
            labels = torch.cat([sample.gt_label for sample in results])
        classes = select_classes(attention['classes'], logits, labels)
        maps = self._attention(attending, memory, padding_mask,
                               winners.gather(1, classes), layer)
        grids = [maps.shape[-2:]] * len(results)
        if padding_mask is not None:
            grids = valid_grid(padding_mask)
        for sample, cls, map_, (h, w) in zip(results, classes, maps, grids):
            sample.set_field(cls, 'attention_classes')
            sample.set_field(map_[..., :h, :w], 'attention')
        return results

    def get_attention(self,
                      feats: tuple[Tensor, ...],
                      classes: Tensor | Sequence[int] | None = None,
                      layer: int = -1,
                      padding_mask: Tensor | None = None,
                      deciding_only: bool = False) -> Tensor:
        """Cross-attention weights: where classes look.

        Args:
            feats: The last one has shape (B, C_in, H, W).
            classes: K class indices, the same for all images, or (B, K) of
                them. None means all.
            layer: Decoder layer. -1 means the last.
            padding_mask: Bool of shape (B, H, W), True where a cell is
                padding.
            deciding_only: Whether to give, of each class, only the map of the
                query that decided its score.

        Returns:
            float32 of shape (B, K, heads, H, W); (B, K, k, heads, H, W) with
            all k > 1 queries per class. Each map sums to 1 and is exactly 0
            where a cell is padding.
        """
        memory = self.pre_logits(feats)
        _, winners, attending = self._decode(memory, padding_mask, layer)
        index = class_index(classes, self.num_classes, memory)
        k = self.queries_per_class
        if deciding_only or k == 1:
            return self._attention(attending, memory, padding_mask,
                                   winners.gather(1, index), layer)
        queries = index.unsqueeze(-1) * k
        queries = queries + torch.arange(k, device=index.device)
        maps = self._attention(attending, memory, padding_mask,
                               queries.flatten(1), layer)
        return maps.unflatten(1, (-1, k))

    def _decode(self,
                memory: Tensor,
                padding_mask: Tensor | None,
                layer: int = -1) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of the classes, and what their attention is computed from.

        Returns:
            Logits (B, C); the rows (B, C) of ``query_embed`` that decided
            them; and the queries (B, C * k, D) attending in ``layer``.
        """
        query_pos = self.query_embed.weight.expand(memory.size(0), -1, -1)
        hidden, attending = self.decoder(
            None,
            memory.flatten(2).transpose(1, 2),
            query_pos,
            None if padding_mask is None else padding_mask.flatten(1),
            layer=layer)
        scores = self._score(hidden)
        logits, best = scores.unflatten(1, (self.num_classes, -1)).max(-1)
        classes = torch.arange(self.num_classes, device=best.device)
        return logits, classes * self.queries_per_class + best, attending

    def _score(self, hidden: Tensor) -> Tensor:
        """Presence (...) of decoded queries (..., D)."""
        # It may have more digits than the rest of the head.
        hidden = hidden.to(self.presence_vector.weight.dtype)
        return self.presence_vector(hidden).squeeze(-1)

    def _attention(self, attending: Tensor, memory: Tensor,
                   padding_mask: Tensor | None, queries: Tensor,
                   layer: int) -> Tensor:
        """Weights (B, Q, heads, H, W) of the asked queries (B, Q) only."""
        query_pos = self.query_embed.weight[queries]
        attending = attending.gather(
            1,
            queries.unsqueeze(-1).expand(-1, -1, self.embed_dims))
        weights = self.decoder.layers[layer].cross_attn.attention_weights(
            attending,
            memory.flatten(2).transpose(1, 2), query_pos,
            None if padding_mask is None else padding_mask.flatten(1))
        return weights.transpose(1, 2).unflatten(-1, memory.shape[-2:])
