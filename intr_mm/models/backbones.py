from mmpretrain.models.backbones import ResNet
from mmpretrain.models.backbones.resnet import BasicBlock
from mmpretrain.registry import MODELS
from torch import nn


@MODELS.register_module()
class TorchvisionResNet(ResNet):
    """mmpretrain's ResNet with torchvision's meaning of dilation.

    Where torchvision replaces a stage's stride by dilation
    (``replace_stride_with_dilation``, DETR's DC5), the first block of the
    stage keeps the dilation of the stage before. mmpretrain's and mmdet's
    ResNet dilate it too, which shifts the features of DC5 checkpoints.
    Without dilation the two are the same.

    Args:
        *args, **kwargs: Those of :class:`mmpretrain.models.ResNet`. DC5 is
            ``strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)``.
    """

    def make_res_layer(self, **kwargs) -> nn.Sequential:
        """Build a stage; its first block keeps the old dilation."""
        stage = super().make_res_layer(**kwargs)
        before = self.dilations[len(self.res_layers) -
                                1] if self.res_layers else 1
        for conv in stage[0].modules():
            if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3):
                if conv.dilation != (1, 1):
                    conv.dilation = conv.padding = (before, before)
        return stage


@MODELS.register_module()
class TinyResNet(ResNet):
    """ResNet of three stages of one basic block each.

    mmpretrain's shallowest has two blocks in each of four stages, too much
    for a demo on a CPU.

    Args:
        *args, **kwargs: Those of :class:`mmpretrain.models.ResNet`, with
            ``depth=8`` (stem, six convolutions in blocks, classifier) and
            ``num_stages=3``.
    """

    arch_settings = {8: (BasicBlock, (1, 1, 1))}
