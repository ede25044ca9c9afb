from mmpretrain.models.backbones.resnet import BasicBlock
from mmpretrain.registry import MODELS

from .resnet import TorchvisionResNet


@MODELS.register_module()
class TinyResNet(TorchvisionResNet):
    """ResNet of three stages of one basic block each.

    mmpretrain's shallowest has two blocks in each of four stages, too much
    for a demo on a CPU.

    Args:
        *args, **kwargs: Those of :class:`mmpretrain.models.ResNet`, with
            ``depth=8`` (stem, six convolutions in blocks, classifier) and
            ``num_stages=3``.
    """

    arch_settings = {8: (BasicBlock, (1, 1, 1))}
