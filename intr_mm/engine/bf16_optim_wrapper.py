import logging
from contextlib import contextmanager

import torch
from mmengine.config import ConfigDict
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner import autocast
from mmpretrain.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Mixed-precision training in bfloat16, on CPUs as well as GPUs.

    mmengine's ``AmpOptimWrapper`` refuses CPUs. bfloat16 has float32's range,
    so no loss scaling is needed.

    Args:
        **kwargs: Those of :class:`mmengine.optim.OptimWrapper`.
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Run the forward pass under bfloat16 autocast.

        Args:
            model: The model that is trained.
        """
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


def use_amp(optim_wrapper: ConfigDict, device: str) -> None:
    """Let a config train in mixed precision, in bfloat16 where there is it.

    Args:
        optim_wrapper: Config of the wrapper, changed in place; not on a CPU
            that would be slower in bfloat16.
        device: Type of the device, such as ``'cuda'``.
    """
    if device == 'cpu' and not _cpu_has_bfloat16():
        print_log(
            'This CPU has no instructions for bfloat16, so training is in '
            'float32.', 'current', logging.WARNING)
    # GPUs have bfloat16 since Ampere
    elif device == 'cpu' or (torch.cuda.is_available()
                             and torch.cuda.get_device_capability() >= (8, 0)):
        optim_wrapper.type = 'BFloat16OptimWrapper'
    else:
        optim_wrapper.type = 'AmpOptimWrapper'
        optim_wrapper.setdefault('loss_scale', 'dynamic')


def _cpu_has_bfloat16() -> bool:
    return (torch.backends.mkldnn.is_available()
            and torch.ops.mkldnn._is_mkldnn_bf16_supported())
