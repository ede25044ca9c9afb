"""mmdet's DETR encoder and decoder with attention that can be asked for.

Parameter names are those of ``mmdet.models.layers``.
"""
from collections.abc import Callable
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

from .attention import MultiheadAttention
from .dropout import replace_dropout


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

    Returns:
        ``layer_cfg`` of an encoder or a decoder.
    """
    if embed_dims % num_heads:
        raise ValueError(f'embed_dims={embed_dims} cannot be split among '
                         f'num_heads={num_heads}; choose a multiple.')
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
        replace_dropout(self)


class INTRTransformerEncoder(DetrTransformerEncoder):
    """mmdet's DETR encoder made of :class:`INTREncoderLayer`.

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
            INTREncoderLayer(**self.layer_cfg) for _ in range(self.num_layers))
        self.embed_dims = self.layers[0].embed_dims

    def forward(self,
                query: Tensor,
                query_pos: Tensor,
                key_padding_mask: Tensor | None = None,
                attn_mask: Tensor | None = None) -> Tensor:
        """Encode the cells of an image.

        Args:
            query: Shape (B, N, D).
            query_pos: Positions, shape (B, N, D).
            key_padding_mask: Bool of shape (B, N), True where a cell is
                padding.
            attn_mask: Bool of shape (N, N), True where a cell must not see
                another.

        Returns:
            Shape (B, N, D).
        """
        for layer in self.layers:
            query = _run(self.with_cp, partial(layer, attn_mask=attn_mask),
                         query, query_pos, key_padding_mask)
        return query


class INTRDecoderLayer(DetrTransformerDecoderLayer):
    """mmdet's DETR decoder layer on fused attention, no position at the keys.

    The paper's text follows DETR; that the decoder's keys carry no position
    is read off the official code (``models/transformer.py``).
    """

    def _init_layers(self) -> None:
        super()._init_layers()
        self.self_attn = MultiheadAttention(**self.self_attn_cfg)
        self.cross_attn = MultiheadAttention(**self.cross_attn_cfg)
        replace_dropout(self)

    def forward(
        self,
        query: Tensor | None,
        memory: Tensor,
        query_pos: Tensor,
        key_padding_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Let the classes see each other, then the image.

        Args:
            query: Shape (B, C, D). None stands for zeros, the start of the
                decoding.
            memory: The encoded image, shape (B, N, D).
            query_pos: The class queries, shape (B, C, D).
            key_padding_mask: Bool of shape (B, N), True where a cell is
                padding.

        Returns:
            The layer's output (B, C, D), and the queries (B, C, D) as they
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
        """The rest of the layer.

        Args:
            query: What the cross-attention returned, residual included, shape
                (..., D).

        Returns:
            The layer's output, of the same shape.
        """
        return self.norms[2](self.ffn(self.norms[1](query)))


class INTRTransformerDecoder(DetrTransformerDecoder):
    """mmdet's DETR decoder made of :class:`INTRDecoderLayer`.

    Args:
        num_layers: Number of layers.
        layer_cfg: Of :func:`detr_layer_cfg`.
        with_cp: See :class:`INTRTransformerEncoder`.
    """

    def __init__(self,
                 num_layers: int,
                 layer_cfg: dict,
                 with_cp: bool = False) -> None:
        super().__init__(num_layers, layer_cfg)
        self.with_cp = with_cp

    def _init_layers(self) -> None:
        self.layers = ModuleList(
            INTRDecoderLayer(**self.layer_cfg) for _ in range(self.num_layers))
        self.embed_dims = self.layers[0].embed_dims
        self.post_norm = build_norm_layer(self.post_norm_cfg,
                                          self.embed_dims)[1]

    def forward(self,
                query: Tensor | None,
                memory: Tensor,
                query_pos: Tensor,
                key_padding_mask: Tensor | None = None,
                layer: int = -1) -> tuple[Tensor, Tensor]:
        """Decode all class queries.

        Args:
            query: Start of the decoding, shape (B, C, D); None stands for
                zeros.
            memory: The encoded image, shape (B, N, D).
            query_pos: The class queries, shape (B, C, D).
            key_padding_mask: Bool of shape (B, N), True where a cell is
                padding.
            layer: The layer whose attending queries are returned. -1 means the
                last.

        Returns:
            The normalised output of the last layer (B, C, D), and the queries
            (B, C, D) as they entered the cross-attention of ``layer``.
        """
        if not -self.num_layers <= layer < self.num_layers:
            raise IndexError(f'layer={layer} is out of range for a decoder of '
                             f'{self.num_layers} layers.')
        asked = layer % self.num_layers
        for index, decoder_layer in enumerate(self.layers):
            query, entered = _run(self.with_cp, decoder_layer, query, memory,
                                  query_pos, key_padding_mask)
            if index == asked:
                attending = entered
        return self.post_norm(query), attending


def _run(with_cp: bool, layer: Callable, *args):
    if with_cp and torch.is_grad_enabled():
        return checkpoint(layer, *args, use_reentrant=False)
    return layer(*args)
