"""Dropout that spends less on random numbers where a CPU draws them."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def dropout(x: Tensor, p: float) -> Tensor:
    """Drop elements as :func:`torch.nn.functional.dropout` does in training.

    On a CPU, 16 random bits decide about an element, a quarter of a draw of
    PyTorch's generator, which takes a third of the time. ``p`` is rounded to
    multiples of 2 ** -16.

    Args:
        x (Tensor): Any shape.
        p (float): Probability that an element becomes 0, below 1; the others
            are divided by ``1 - p``.

    Returns:
        Tensor: Of the same shape and type.
    """
    if x.device.type != 'cpu':
        return F.dropout(x, p)
    drawn = torch.empty(-(-x.numel() // 4), dtype=torch.int64)
    bits = drawn.random_(-2**63, None).view(torch.int16)
    keep = bits[:x.numel()].view(x.shape) >= round(p * 2**16) - 2**15
    # of which the backward pass keeps one byte for each element
    return torch.where(keep, x * (1 / (1 - p)), 0.)


class Dropout(nn.Dropout):
    """``nn.Dropout`` by :func:`dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of a tensor of any shape in training."""
        if self.training and 0 < self.p < 1:
            return dropout(x, self.p)
        return super().forward(x)


def replace_dropout(module: nn.Module) -> None:
    """Put :class:`Dropout` in the place of PyTorch's.

    Args:
        module (nn.Module): Changed in place.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.Dropout):
            setattr(module, name, Dropout(child.p))
        else:
            replace_dropout(child)
