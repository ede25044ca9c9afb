import pytest
import torch
from mmcv.cnn.bricks import Conv2dAdaptivePadding
from mmengine.model.efficient_conv_bn_eval import \
    turn_on_efficient_conv_bn_eval
from mmpretrain.models import ImageClassifier
from timm.layers import Conv2dSame
from torch import nn

from intr_mm.structures import CellGeometry, infer_cell_geometry

RESNET = dict(type='ResNet', depth=18, stem_channels=4, base_channels=4)
DC5 = dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), out_indices=(3, ))
VIT = dict(
    type='VisionTransformer',
    arch=dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8),
    img_size=64,
    out_type='featmap')
SWIN = dict(
    type='SwinTransformer',
    arch=dict(embed_dims=4, depths=[1] * 4, num_heads=[1] * 4),
    pad_small_map=True)
CONVNEXT = dict(
    type='ConvNeXt',
    arch=dict(depths=[1] * 4, channels=[4] * 4),
    gap_before_final_norm=False)


def classifier(backbone, **kwargs):
    return ImageClassifier(backbone=backbone, **kwargs)


@pytest.mark.parametrize('backbone, stride, offset', [
    (RESNET, 32, 0),
    (dict(RESNET, style='caffe'), 32, 0),
    (dict(RESNET, depth=50, base_channels=8, style='pytorch'), 32, 0),
    (dict(RESNET, depth=50, base_channels=8, style='caffe'), 32, 0),
    (dict(RESNET, **DC5), 16, 0),
    (dict(RESNET, out_indices=(1, )), 8, 0),
    (VIT, 16, 7.5),
    (dict(VIT, patch_size=14), 14, 6.5),
    (SWIN, 32, 15.5),
    (CONVNEXT, 32, 15.5),
])
def test_stride_and_offset(backbone, stride, offset):
    geometry = infer_cell_geometry(classifier(backbone), (64, 96))
    assert geometry == CellGeometry(stride, offset)


def test_backbone_whose_modules_are_not_called():
    model = classifier(RESNET)
    turn_on_efficient_conv_bn_eval(model, ['backbone'])
    forward = model.backbone.forward
    assert infer_cell_geometry(model, (64, 96)) == CellGeometry(32, 0)
    assert model.backbone.forward is forward

    model = classifier(RESNET)
    model.backbone = compiled = torch.compile(model.backbone)
    assert infer_cell_geometry(model, (64, 96)) == CellGeometry(32, 0)
    assert model.backbone is compiled


@pytest.mark.parametrize('backbone', [SWIN, VIT])
def test_corner_padding_does_not_move_cells(backbone):
    model = classifier(backbone)
    assert infer_cell_geometry(model, (61, 93)) == infer_cell_geometry(
        model, (64, 96))


def test_neck_is_followed():
    neck = dict(type='GlobalAveragePooling')
    with pytest.raises(ValueError, match='remove the pooling neck'):
        infer_cell_geometry(classifier(RESNET, neck=neck), (64, 64))

    class Neck(nn.Module):

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(32, 8, 2, stride=2)

        def forward(self, feats):
            return (self.conv(feats[-1]), )

    model = classifier(RESNET)
    model.neck = Neck()
    assert infer_cell_geometry(model, (128, 128)) == CellGeometry(64, 16)


def test_unplaceable_cells():

    class Slicing(nn.Module):

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, 2, 1)

        def forward(self, x):
            return (self.conv(x)[..., ::2, ::2], )

    model = classifier(RESNET)
    model.backbone = Slicing()
    with pytest.raises(ValueError, match=r'\(8, 8\).*cannot be placed'):
        infer_cell_geometry(model, (32, 32))


def test_rectangular_windows_are_refused():
    model = classifier(RESNET)
    model.backbone = nn.Conv2d(3, 4, (3, 5), 2)
    with pytest.raises(NotImplementedError, match='square kernels'):
        infer_cell_geometry(model, (32, 32))


def test_model_is_left_as_it_was():
    model = classifier(dict(RESNET, frozen_stages=1, norm_eval=False))
    model.train()
    modes = [module.training for module in model.modules()]
    state = {key: value.clone() for key, value in model.state_dict().items()}
    infer_cell_geometry(model, (64, 64))
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks
                   for module in model.modules())
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key])


def receptive_centre(backbone, size, cell):
    """Middle of the pixels that one cell of the last feature map sees."""
    backbone.double()
    backbone.eval()
    for parameter in backbone.parameters():
        parameter.data.abs_()
    # A maximum passes the gradient to one pixel of its window only.
    for module in backbone.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                setattr(
                    module, name,
                    nn.AvgPool2d(child.kernel_size, child.stride,
                                 child.padding))
    image = torch.ones(1, 3, size, size, dtype=torch.double)
    image.requires_grad_()
    backbone(image)[-1][0, :, cell, cell].sum().backward()
    seen = image.grad[0].abs().sum(0).nonzero()
    low, high = seen.min(0).values, seen.max(0).values
    assert low.min() > 0 and high.max() < size - 1
    return ((low + high) / 2).tolist()


@pytest.mark.parametrize('backbone, cell', [
    (dict(
        RESNET,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2, )), 9),
    (dict(
        RESNET,
        num_stages=3,
        strides=(1, 2, 1),
        dilations=(1, 1, 2),
        out_indices=(2, )), 18),
])
def test_agrees_with_receptive_field(backbone, cell):
    model = classifier(backbone)
    geometry = infer_cell_geometry(model, (64, 64))
    centre = geometry.stride * cell + geometry.offset
    assert receptive_centre(model.backbone, 289, cell) == [centre, centre]


@pytest.mark.parametrize('conv', [Conv2dAdaptivePadding, Conv2dSame])
@pytest.mark.parametrize('size, cell', [(96, 2), (95, 2)])
def test_tensorflow_padding(conv, size, cell):
    """Padding that adapts to the image moves the cells with its size."""

    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(
                conv(3, 2, 3, stride=2), conv(2, 2, 5, stride=2))

        def forward(self, x):
            return (self.layers(x), )

    model = classifier(RESNET)
    model.backbone = Net()
    geometry = infer_cell_geometry(model, (size, size))
    centre = geometry.stride * cell + geometry.offset
    assert receptive_centre(model.backbone, size, cell) == [centre, centre]


def test_unpadded_stack():
    model = classifier(RESNET)
    model.backbone = nn.Sequential(
        nn.Conv2d(3, 2, 7, 2), nn.Conv2d(2, 2, 3, 1),
        nn.Conv2d(2, 2, 3, 2, padding=2, dilation=2))
    geometry = infer_cell_geometry(model, (64, 64))
    # By hand: 3, then + 2 * 1, then + 2 * (2 - 2).
    assert geometry == CellGeometry(4, 5)
