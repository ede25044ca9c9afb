"""Dropout that spends less on random numbers where a CPU draws them."""
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


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
