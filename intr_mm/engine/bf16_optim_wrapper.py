from contextlib import contextmanager

import torch
from mmengine.config import ConfigDict
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
            model (nn.Module): The model that is trained.
        """
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


def use_amp(optim_wrapper: ConfigDict, device: str) -> None:
    """Let a config train in mixed precision, in bfloat16 where there is it.

    Args:
        optim_wrapper (ConfigDict): Config of the wrapper, changed in place.
        device (str): Type of the device, such as ``'cuda'``.
    """
    # GPUs have bfloat16 since Ampere
    if device == 'cpu' or (torch.cuda.is_available()
                           and torch.cuda.get_device_capability() >= (8, 0)):
        optim_wrapper.type = 'BFloat16OptimWrapper'
    else:
        optim_wrapper.type = 'AmpOptimWrapper'
        optim_wrapper.setdefault('loss_scale', 'dynamic')
