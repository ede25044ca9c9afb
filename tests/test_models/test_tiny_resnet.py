import torch
from mmpretrain.models.backbones.resnet import BasicBlock
from mmpretrain.registry import MODELS

import intr_mm  # noqa: F401


def test_demo_backbone_has_one_block_a_stage_and_stride_8():
    backbone = MODELS.build(
        dict(
            type='TinyResNet',
            depth=8,
            stem_channels=32,
            base_channels=32,
            num_stages=3,
            strides=(1, 2, 1),
            dilations=(1, 1, 1),
            out_indices=(0, 1, 2)))
    blocks = [m for m in backbone.modules() if isinstance(m, BasicBlock)]
    assert [block.out_channels for block in blocks] == [32, 64, 128]
    shapes = [tuple(f.shape) for f in backbone(torch.zeros(1, 3, 96, 64))]
    assert shapes == [(1, 32, 24, 16), (1, 64, 12, 8), (1, 128, 12, 8)]
