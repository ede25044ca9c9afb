"""What only CPUs need in training; a reader of the model can skip it.

PyTorch draws random numbers slowly on a CPU, has no fused attention with
dropout there, and computes backward passes in half precision up to five times
slower. What follows computes the same as PyTorch's functions, up to the random
numbers.
"""
import math
from collections.abc import Iterator, Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Attention weights that are held at once. 4 MiB in float32 stay in the cache
# of a core, which matters more than the number of calls.
MAX_WEIGHTS = 2**20


def dropout(x: Tensor, p: float) -> Tensor:
    """Drop elements as :func:`torch.nn.functional.dropout` does in training,
    on a CPU.

    Args:
        x: Any shape.
        p: Probability that an element becomes 0, below 1; the others are
            divided by ``1 - p``. It is rounded as :func:`draw_keep` says.

    Returns:
        Of the same shape and type.
    """
    return _Dropout.apply(x, draw_keep(x.shape, p), 1 / (1 - p))


def draw_keep(shape: Sequence[int],
              p: float,
              generator: torch.Generator | None = None,
              dtype: torch.dtype = torch.bool) -> Tensor:
    """Draw on the CPU which elements dropout keeps.

    16 random bits decide about an element, a quarter of a draw of PyTorch's
    generator, which takes a third of the time.

    Args:
        shape: Shape of what is drawn for.
        p: Probability that an element is dropped, rounded to multiples of 2 **
            -16.
        generator: None means PyTorch's own.
        dtype: Bool, or float32 or float64, which are drawn faster and need
            more memory. Defaults to bool.

    Returns:
        Of that shape and type, 1 where an element is kept.
    """
    size = math.prod(shape)
    drawn = torch.empty(-(-size // 4), dtype=torch.int64)
    drawn.random_(-2**63, None, generator=generator)
    bits = drawn.view(torch.int16)[:size].view(shape)
    threshold = round(p * 2**16) - 2**15
    if dtype is torch.bool:
        return bits >= threshold
    return bits.to(dtype).ge_(threshold)


class _Dropout(torch.autograd.Function):
    """Keeps one byte for each element, and works in place on results."""

    @staticmethod
    def forward(ctx, x: Tensor, keep: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(keep)
        ctx.scale = scale
        return (x * scale).mul_(keep)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        keep, = ctx.saved_tensors
        return (grad * ctx.scale).mul_(keep), None, None


class Dropout(nn.Dropout):
    """``nn.Dropout`` by :func:`dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of a tensor of any shape in training."""
        return dropout(x, self.p) if self._draws(x) else super().forward(x)

    def _draws(self, x: Tensor) -> bool:
        return self.training and 0 < self.p < 1 and x.device.type == 'cpu'


class _ReLUDropout(torch.autograd.Function):
    """What is zero has no gradient, whichever of the two made it so: the
    output is all that is kept, and the layer after it keeps that anyway."""

    @staticmethod
    def forward(ctx, x: Tensor, p: float) -> Tensor:
        ctx.scale = 1 / (1 - p)
        out = (x * ctx.scale).clamp_min_(0).mul_(draw_keep(x.shape, p))
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        out, = ctx.saved_tensors
        return (grad * ctx.scale).mul_(out > 0), None


class ReLUDropout(Dropout):
    """``nn.ReLU`` and then :class:`Dropout`.

    Args:
        relu: What comes first.
        p: Probability that an element is dropped.
    """

    def __init__(self, relu: nn.ReLU, p: float) -> None:
        super().__init__(p)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """Clamp and drop elements of a tensor of any shape."""
        if self._draws(x):
            return _ReLUDropout.apply(x, self.p)
        return super().forward(self.relu(x))


def replace_dropout(module: nn.Module) -> None:
    """Put :class:`Dropout` in the place of PyTorch's, and
    :class:`ReLUDropout` where ``nn.ReLU`` comes before in a sequence.

    Args:
        module: Changed in place; names of parameters stay.
    """
    before = None
    for name, child in module.named_children():
        if not isinstance(child, nn.Dropout):
            replace_dropout(child)
        elif isinstance(module, nn.Sequential) and isinstance(before, nn.ReLU):
            module[int(name)] = ReLUDropout(before, child.p)
            module[int(name) - 1] = nn.Identity()
        else:
            setattr(module, name, Dropout(child.p))
        before = child


def attention(query: Tensor, key: Tensor, value: Tensor,
              visible: Tensor | None, p: float) -> Tensor:
    """Attend as :func:`F.scaled_dot_product_attention` does, in float32 where
    the inputs are in half precision.

    Args:
        query: Shape (B, heads, Q, D).
        key: Shape (B, heads, N, D).
        value: Shape (B, heads, N, D).
        visible: Bool that broadcasts to (B, 1, Q, N), True where a query sees
            a key.
        p: Probability that a weight is dropped, as in :func:`dropout`.

    Returns:
        Shape (B, heads, Q, D).
    """
    dtype = query.dtype
    if dtype in (torch.bfloat16, torch.float16):
        query, key, value = query.float(), key.float(), value.float()
    with torch.autocast('cpu', enabled=False):
        if 0 < p < 1:
            out = _DroppedAttention.apply(query, key, value, visible, p)
        else:
            out = F.scaled_dot_product_attention(
                query, key, value, attn_mask=visible, dropout_p=p)
    return out.to(dtype)


class _DroppedAttention(torch.autograd.Function):
    """Holds the weights of some queries at a time and computes them again in
    the backward pass, with the same random numbers: as with a fused kernel
    (FlashAttention, arXiv 2205.14135) memory is linear in queries and keys."""

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
    """Of the same shape, laid out as (B, Q, heads, D), which the projections
    before and after have."""
    return query.new_empty(query.transpose(1, 2).shape).transpose(1, 2)
