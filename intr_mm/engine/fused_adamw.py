import torch
from mmengine.utils import digit_version
from mmpretrain.registry import OPTIMIZERS


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
