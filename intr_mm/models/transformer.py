"""mmdet's DETR encoder and decoder with attention that can be asked for.

Parameter names are those of ``mmdet.models.layers`` and mmcv, so checkpoints
of mmdet's DETR fit. B is the batch, N the number of cells, Q of queries, D the
width of the tokens; the batch is the first dimension.
"""
from collections.abc import Callable, Sequence
from functools import partial

import torch
from mmcv.cnn import build_norm_layer
from mmdet.models.layers import (DetrTransformerDecoder,
                                 DetrTransformerDecoderLayer,
                                 DetrTransformerEncoder,
                                 DetrTransformerEncoderLayer)
from mmengine.model import ModuleList
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from . import cpu_training
from .attention import MultiheadAttention
from .utils import check_split, without_autocast


def detr_layer_cfg(embed_dims: int, num_heads: int, feedforward_channels: int,
                   dropout: float, attentions: tuple[str, ...]) -> dict:
    """Config of one DETR layer as mmdet's layers take it.

    Dropout acts where DETR has it: on the attention weights, on each residual
    branch, and inside the feed-forward network.

    Args:
        embed_dims: Width of the tokens.
        num_heads: Number of attention heads; must divide ``embed_dims``.
        feedforward_channels: Hidden width of the feed-forward network.
        dropout: Dropout probability.
        attentions: Names of the layer's attention configs.
    """
    check_split(embed_dims, num_heads)
    cfg = dict(
        ffn_cfg=dict(
            embed_dims=embed_dims,
            feedforward_channels=feedforward_channels,
            num_fcs=2,
            ffn_drop=dropout,
            act_cfg=dict(type='ReLU', inplace=True)))
    for name in attentions:
        cfg[name] = dict(
            embed_dims=embed_dims,
            num_heads=num_heads,
            attn_drop=dropout,
            dropout_layer=dict(type='Dropout', drop_prob=dropout),
            batch_first=True)
    return cfg


class INTREncoderLayer(DetrTransformerEncoderLayer):
    """mmdet's DETR encoder layer on fused attention."""

    def _init_layers(self) -> None:
        super()._init_layers()
        self.self_attn = MultiheadAttention(**self.self_attn_cfg)
        cpu_training.replace_dropout(self)

    def forward_mixing(
            self,
            query: Tensor,
            query_pos: Tensor,
            key_padding_mask: Tensor | None = None,
            attn_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The forward pass without dropout, and how much of each token comes
        from each cell.

        Behind the attention, a token is the sum of itself and of what it got
        from the cells, as in `Incorporating Residual and Normalization Layers
        into Analysis of Masked Language Models
        <https://arxiv.org/abs/2109.07152>`_ (EMNLP 2021). A cell's share is
        the projection of its part on that sum, none where it points away.

        Args:
            query: Shape (B, N, D).
            query_pos: Positions, shape (B, N, D).
            key_padding_mask: Bool of shape (B, N), True where a cell is
                padding.
            attn_mask: Bool of shape (N, N), True where a cell must not see
                another.

        Returns:
            Shape (B, N, D); and float32 of shape (B, N, N), whose rows are the
            tokens' shares and sum to 1.
        """
        attention = self.self_attn
        visible = attention.visible(key_padding_mask, attn_mask)
        placed = query + query_pos
        q, k, v = attention._project(placed, placed, query)
        with without_autocast(query):
            q, k, v = q.float() * q.size(-1)**-.5, k.float(), v.float()
            weights = []
            # Head by head, as (N, N) of one stay in a CPU's cache.
            for head in range(attention.num_heads):
                scores = q[:, head] @ k[:, head].mT  # (B, N, N)
                if visible is not None:
                    scores.masked_fill_(~visible[:, 0], float('-inf'))
                weights.append(scores.softmax(-1))
            got = torch.stack(
                [w @ v[:, head] for head, w in enumerate(weights)], 1)
            weight = attention.attn.out_proj.weight.float()  # (D, D)
            total = query + got.transpose(1, 2).flatten(2) @ weight.t()
            # of each head's values, how far they lead towards the total
            along = attention._split(total @ weight)  # (B, heads, N, D/heads)
            shares = torch.diag_embed((query * total).sum(-1))  # (B, N, N)
            for head, w in enumerate(weights):
                shares.addcmul_(w, along[:, head] @ v[:, head].mT)
            shares.clamp_(min=0)
            shares /= shares.sum(-1, keepdim=True).clamp(min=1e-12)
        out = query + attention._merge(got.to(query.dtype))  # (B, N, D)
        return self.norms[1](self.ffn(self.norms[0](out))), shares


class _Layers:
    """What encoder and decoder share: layers of ours, which training may
    compute again.

    Args:
        num_layers: Number of layers.
        layer_cfg: Of :func:`detr_layer_cfg`.
        with_cp: Whether training keeps only what enters each layer, and
            computes the layer again in the backward pass.
    """

    def __init__(self,
                 num_layers: int,
                 layer_cfg: dict,
                 with_cp: bool = False) -> None:
        super().__init__(num_layers, layer_cfg)
        self.with_cp = with_cp

    def _init_layers(self) -> None:
        self.layers = ModuleList(
            self.layer_type(**self.layer_cfg) for _ in range(self.num_layers))
        self.embed_dims = self.layers[0].embed_dims

    def _run(self, layer: Callable, *args):
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(layer, *args, use_reentrant=False)
        return layer(*args)


class INTRTransformerEncoder(_Layers, DetrTransformerEncoder):
    """mmdet's DETR encoder made of :class:`INTREncoderLayer`.

    Args:
        num_layers, layer_cfg, with_cp: See :class:`_Layers`.
    """
    layer_type = INTREncoderLayer

    def forward(self,
                query: Tensor,
                query_pos: Tensor,
                key_padding_mask: Tensor | None = None,
                attn_mask: Tensor | None = None,
                mixing: bool = False) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Encode the cells of an image.

        Args:
            query: Shape (B, N, D).
            query_pos: Positions, shape (B, N, D).
            key_padding_mask: Bool of shape (B, N), True where a cell is
                padding.
            attn_mask: Bool of shape (N, N), True where a cell must not see
                another.
            mixing: Whether to say how much of each token comes from each cell.

        Returns:
            Shape (B, N, D); with ``mixing`` also of each layer the shares (B,
            N, N), see :meth:`INTREncoderLayer.forward_mixing`.
        """
        shares = []
        for layer in self.layers:
            if mixing:
                query, of_layer = layer.forward_mixing(query, query_pos,
                                                       key_padding_mask,
                                                       attn_mask)
                shares.append(of_layer)
            else:
                query = self._run(
                    partial(layer, attn_mask=attn_mask), query, query_pos,
                    key_padding_mask)
        return (query, shares) if mixing else query


class INTRDecoderLayer(DetrTransformerDecoderLayer):
    """mmdet's DETR decoder layer on fused attention, no position at the keys.

    The paper's text follows DETR; that the decoder's keys carry no position
    is read off the official code (``models/transformer.py``).
    """

    def _init_layers(self) -> None:
        super()._init_layers()
        self.self_attn = MultiheadAttention(**self.self_attn_cfg)
        self.cross_attn = MultiheadAttention(**self.cross_attn_cfg)
        cpu_training.replace_dropout(self)

    def forward(
        self,
        query: Tensor | None,
        memory: Tensor,
        query_pos: Tensor,
        key_padding_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Let the classes see each other, then the image.

        Args:
            query: Shape (B, Q, D). None stands for zeros, the start of the
                decoding.
            memory: The encoded image, shape (B, N, D).
            query_pos: The class queries, shape (B, Q, D).
            key_padding_mask: Bool of shape (B, N), True where a cell is
                padding.

        Returns:
            The layer's output (B, Q, D), and the queries (B, Q, D) as they
            entered the cross-attention, from which its weights can be
            computed.
        """
        if query is None and not self.training:
            query = self.self_attn.start(query_pos)
        else:
            if query is None:
                query = torch.zeros_like(query_pos)
            query = self.self_attn(
                query, query_pos=query_pos, key_pos=query_pos)
        attending = self.norms[0](query)
        query = self.cross_attn(
            attending,
            key=memory,
            query_pos=query_pos,
            key_padding_mask=key_padding_mask)
        return self.after_attention(query), attending

    def after_attention(self, query: Tensor) -> Tensor:
        """The rest of the layer on what the cross-attention returned, residual
        included, (..., D)."""
        return self.norms[2](self.ffn(self.norms[1](query)))


class INTRTransformerDecoder(_Layers, DetrTransformerDecoder):
    """mmdet's DETR decoder made of :class:`INTRDecoderLayer`.

    Args:
        num_layers, layer_cfg, with_cp: See :class:`_Layers`.
    """
    layer_type = INTRDecoderLayer

    def _init_layers(self) -> None:
        super()._init_layers()
        self.post_norm = build_norm_layer(self.post_norm_cfg,
                                          self.embed_dims)[1]

    def forward(
        self,
        query: Tensor | None,
        memory: Tensor,
        query_pos: Tensor,
        key_padding_mask: Tensor | None = None,
        layers: Sequence[int] = ()
    ) -> tuple[Tensor, dict]:
        """Decode all class queries.

        Args:
            query: Start of the decoding, shape (B, Q, D); None stands for
                zeros.
            memory: The encoded image, shape (B, N, D).
            query_pos: The class queries, shape (B, Q, D).
            key_padding_mask: Bool of shape (B, N), True where a cell is
                padding.
            layers: Layers, from 0 on, whose attending queries are returned.

        Returns:
            The normalised output of the last layer (B, Q, D), and for each of
            ``layers`` the queries (B, Q, D) as they entered its
            cross-attention.
        """
        attending = {}
        for index, layer in enumerate(self.layers):
            query, entered = self._run(layer, query, memory, query_pos,
                                       key_padding_mask)
            if index in layers:
                attending[index] = entered
        return self.post_norm(query), attending
