import torch
from mmpretrain.models.backbones import ResNet
from mmpretrain.models.backbones.resnet import BasicBlock
from mmpretrain.registry import MODELS


@MODELS.register_module()
class TinyResNet(ResNet):
    """ResNet of three stages of one basic block each.

    mmpretrain's shallowest has two blocks in each of four stages, too much
    for a demo on a CPU. Its weights lie channels-last, which lets CPUs compute
    faster.

    Args:
        *args, **kwargs: Those of :class:`mmpretrain.models.ResNet`, with
            ``depth=8`` (stem, six convolutions in blocks, classifier) and
            ``num_stages=3``.
    """

    arch_settings = {8: (BasicBlock, (1, 1, 1))}

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.to(memory_format=torch.channels_last)
