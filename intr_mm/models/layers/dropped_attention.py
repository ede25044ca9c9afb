"""Attention with dropout of its weights where no fused kernel has that."""
from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .dropout import draw_keep

# Attention weights that are held at once. 4 MiB in float32 stay in the cache
# of a core, which matters more than the number of calls.
MAX_WEIGHTS = 2**20


def dropped_attention(query: Tensor, key: Tensor, value: Tensor,
                      visible: Tensor | None, p: float) -> Tensor:
    """Attend in training as :func:`F.scaled_dot_product_attention` does.

    Holds the weights of some queries at a time and computes them again in the
    backward pass, with the same random numbers: as with a fused kernel
    (FlashAttention, arXiv 2205.14135) memory is linear in queries and keys.

    Args:
        query: Shape (B, heads, Q, D), float32 or float64.
        key: Shape (B, heads, N, D).
        value: Shape (B, heads, N, D).
        visible: Bool that broadcasts to (B, 1, Q, N), True where a query sees
            a key.
        p: Probability that a weight is dropped, below 1, as in
            :func:`~intr_mm.models.layers.dropout.dropout`.

    Returns:
        Shape (B, heads, Q, D).
    """
    return _DroppedAttention.apply(query, key, value, visible, p)


class _DroppedAttention(torch.autograd.Function):

    @staticmethod
    def forward(ctx, query: Tensor, key: Tensor, value: Tensor,
                visible: Tensor | None, p: float) -> Tensor:
        seed = torch.empty((), dtype=torch.int64).random_().item()
        out = _like(query)
        # instead of each weight
        scaled = value * (1 / (1 - p))
        for piece, of, weights, keep in _pieces(query, key, visible, p, seed):
            out[piece] = weights.mul_(keep) @ scaled[of]
        ctx.save_for_backward(query, key, value, visible, out)
        ctx.p, ctx.seed = p, seed
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, visible, out = ctx.saved_tensors
        scale, keep_scale = query.size(-1)**-0.5, 1 / (1 - ctx.p)
        scaled = value * keep_scale
        # what the sum of a row's gradients, weighed, comes to
        mean = (grad * out).sum(-1, keepdim=True)
        dquery = _like(query)
        dkey, dvalue = torch.zeros_like(key), torch.zeros_like(value)
        for piece, of, weights, keep in _pieces(query, key, visible, ctx.p,
                                                ctx.seed):
            dscores = (grad[piece] @ scaled[of].mT).mul_(keep)
            dscores.sub_(mean[piece]).mul_(weights)
            dquery[piece] = dscores @ key[of]
            dkey[of] += dscores.mT @ query[piece]
            dvalue[of] += weights.mul_(keep).mT @ grad[piece]
        return (dquery.mul_(scale), dkey.mul_(scale), dvalue.mul_(keep_scale),
                None, None)


def _pieces(query: Tensor, key: Tensor, visible: Tensor | None, p: float,
            seed: int) -> Iterator[tuple]:
    """Index of some queries, of their keys, their weights and which to keep,
    both of shape (heads, queries, N)."""
    batch, num_heads, num_queries, _ = query.shape
    num_keys = key.size(2)
    heads = min(num_heads, MAX_WEIGHTS // (num_queries * num_keys) or 1)
    rows = min(num_queries, MAX_WEIGHTS // num_keys or 1)
    generator = torch.Generator().manual_seed(seed)
    if visible is not None:
        hidden = (~visible).expand(batch, 1, num_queries, num_keys)
    for image, head, row in product(
            range(batch), range(0, num_heads, heads),
            range(0, num_queries, rows)):
        of = image, slice(head, head + heads)
        piece = *of, slice(row, row + rows)
        scores = (query[piece] * query.size(-1)**-0.5) @ key[of].mT
        if visible is not None:
            scores.masked_fill_(hidden[image, :, piece[-1]], float('-inf'))
        yield piece, of, scores.softmax(-1), draw_keep(scores.shape, p,
                                                       generator, scores.dtype)


def _like(query: Tensor) -> Tensor:
    """Of the same shape, in the order (B, Q, heads, D) of memory that the
    projections before and after have."""
    return query.new_empty(query.transpose(1, 2).shape).transpose(1, 2)
