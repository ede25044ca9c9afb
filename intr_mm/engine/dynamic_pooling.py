"""Max pooling that is compiled once for all sizes."""
import torch
import torch.nn.functional as F
from mmengine.utils import to_2tuple
from torch import Tensor, nn


def replace_max_pooling(module: nn.Module) -> None:
    """Put :class:`DynamicMaxPool2d` in the place of PyTorch's, where PyTorch
    (2.4 or newer) and the layer's arguments allow it.

    Args:
        module: Changed in place.
    """
    for name, child in module.named_children():
        if (type(child) is nn.MaxPool2d and child.dilation in (1, (1, 1))
                and not child.ceil_mode and not child.return_indices
                and hasattr(torch.library, 'custom_op')):
            setattr(
                module, name,
                DynamicMaxPool2d(
                    to_2tuple(child.kernel_size), to_2tuple(child.stride),
                    to_2tuple(child.padding)))
        else:
            replace_max_pooling(child)


class DynamicMaxPool2d(nn.MaxPool2d):
    """``nn.MaxPool2d`` without the guards on sizes.

    PyTorch derives the size of the output by a division whose remainder it
    looks at, so that ``torch.compile`` makes a graph for each parity of height
    and width (``Recompiling ... div_rtn``). Arguments are pairs.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Pool a tensor (B, C, H, W)."""
        return torch.ops.intr_mm.max_pool2d(x, self.kernel_size, self.stride,
                                            self.padding)


if hasattr(torch.library, 'custom_op'):

    @torch.library.custom_op('intr_mm::max_pool2d', mutates_args=())
    def _max_pool2d(x: Tensor, kernel_size: list[int], stride: list[int],
                    padding: list[int]) -> Tensor:
        return F.max_pool2d(x, kernel_size, stride, padding)

    @_max_pool2d.register_fake
    def _(x, kernel_size, stride, padding):
        sizes = ((edge + 2 * pad - kernel) // step + 1 for edge, kernel, step,
                 pad in zip(x.shape[-2:], kernel_size, stride, padding))
        last = x.is_contiguous(memory_format=torch.channels_last)
        return torch.empty((*x.shape[:2], *sizes),
                           dtype=x.dtype,
                           device=x.device,
                           memory_format=torch.channels_last
                           if last else torch.contiguous_format)
