from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import autocast
from mmengine.utils import digit_version
from mmpretrain.registry import OPTIM_WRAPPERS, OPTIMIZERS
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
        """Run the forward pass under bfloat16 autocast."""
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


@OPTIMIZERS.register_module()
class FusedAdamW(torch.optim.AdamW):
    """AdamW in one kernel, where PyTorch has it.

    That is on GPUs, and on CPUs since PyTorch 2.4; elsewhere it is AdamW.

    Args:
        params: Parameters, or groups of them.
        **kwargs: Those of :class:`torch.optim.AdamW` but ``fused``.
    """

    def __init__(self, params, **kwargs) -> None:
        super().__init__(params, **kwargs)
        on_cpus = digit_version(torch.__version__) >= digit_version('2.4')
        for group in self.param_groups:
            group['fused'] = on_cpus or all(p.is_cuda for p in group['params'])
