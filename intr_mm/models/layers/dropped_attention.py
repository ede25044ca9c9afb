"""Attention with dropout of its weights where no fused kernel has that."""
from typing import Iterator, Optional, Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .dropout import draw_keep

# Attention weights that are held at once. 4 MiB in float32 stay in the cache
# of a core, which matters more than the number of calls.
MAX_WEIGHTS = 2**20


def dropped_attention(query: Tensor, key: Tensor, value: Tensor,
                      visible: Optional[Tensor], p: float) -> Tensor:
    """Attend in training as :func:`F.scaled_dot_product_attention` does.

    Holds the weights of some queries at a time and computes them again in the
    backward pass, with the same random numbers: as with a fused kernel
    (FlashAttention, arXiv 2205.14135) memory is linear in queries and keys.

    Args:
        query (Tensor): Shape (B, heads, Q, D).
        key (Tensor): Shape (B, heads, N, D).
        value (Tensor): Shape (B, heads, N, D).
        visible (Tensor, optional): Bool that broadcasts to (B, 1, Q, N), True
            where a query sees a key.
        p (float): Probability that a weight is dropped, below 1, as in
            :func:`~intr_mm.models.layers.dropout.dropout`.

    Returns:
        Tensor: Shape (B, heads, Q, D).
    """
    return _DroppedAttention.apply(query, key, value, visible, p)


class _DroppedAttention(torch.autograd.Function):

    @staticmethod
    def forward(ctx, query: Tensor, key: Tensor, value: Tensor,
                visible: Optional[Tensor], p: float) -> Tensor:
        seed = torch.empty((), dtype=torch.int64).random_().item()
        out = _like(query)
        with torch.autocast(query.device.type, enabled=False):
            # instead of each weight
            scaled = value * (1 / (1 - p))
            for piece, of, weights, keep in _pieces(query, key, visible, p,
                                                    seed):
                weights = weights.mul_(keep).to(value.dtype)
                out[piece] = weights @ scaled[of]
        ctx.save_for_backward(query, key, value, visible, out)
        ctx.p, ctx.seed = p, seed
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        query, key, value, visible, out = ctx.saved_tensors
        p, dtype = ctx.p, query.dtype
        grads = [_like(query)] + [
            torch.zeros_like(x, dtype=_precise(dtype)) for x in (key, value)
        ]
        scaled = value * (1 / (1 - p))
        # what the sum of a row's gradients, weighed, comes to
        mean = (grad * out).sum(-1, keepdim=True, dtype=_precise(dtype))
        for piece, of, weights, keep in _pieces(query, key, visible, p,
                                                ctx.seed):
            scores = (grad[piece] @ scaled[of].mT).to(weights.dtype)
            scores.mul_(keep).sub_(mean[piece]).mul_(weights)
            scores = scores.to(dtype)
            grads[0][piece] = scores @ key[of]
            grads[1][of] += scores.mT @ query[piece]
            grads[2][of] += weights.mul_(keep).to(dtype).mT @ grad[piece]
        scale = query.size(-1)**-0.5
        return (grads[0].mul_(scale), grads[1].mul_(scale).to(dtype),
                grads[2].mul_(1 / (1 - p)).to(dtype), None, None)


def _pieces(query: Tensor, key: Tensor, visible: Optional[Tensor], p: float,
            seed: int) -> Iterator[tuple]:
    """Index of some queries, of their keys, their weights and which to keep,
    both of shape (heads, queries, N) and at least float32."""
    batch, num_heads, num_queries, _ = query.shape
    num_keys = key.size(2)
    heads = min(num_heads, MAX_WEIGHTS // (num_queries * num_keys) or 1)
    rows = min(num_queries, MAX_WEIGHTS // num_keys or 1)
    generator = torch.Generator().manual_seed(seed)
    if visible is not None:
        visible = visible.expand(batch, 1, -1, num_keys)
    for image in range(batch):
        for head in range(0, num_heads, heads):
            of = image, slice(head, head + heads)
            for row in range(0, num_queries, rows):
                piece = *of, slice(row, row + rows)
                scores = (query[piece] * query.size(-1)**-0.5) @ key[of].mT
                if visible is not None:
                    mask = visible[image]
                    if mask.size(1) > 1:
                        mask = mask[:, piece[-1]]
                    scores.masked_fill_(~mask, float('-inf'))
                weights = scores.softmax(-1, dtype=_precise(scores.dtype))
                yield piece, of, weights, draw_keep(
                    weights.shape, p, generator, weights.dtype)


def _like(query: Tensor) -> Tensor:
    """Of the same shape, in the order (B, Q, heads, D) of memory that the
    projections before and after have."""
    return query.new_empty(query.transpose(1, 2).shape).transpose(1, 2)


def _precise(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
