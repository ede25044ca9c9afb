import torch
from mmpretrain.registry import MODELS

CLASSES = torch.tensor([3, 1])
DIMS = dict(embed_dims=16, num_heads=2, feedforward_channels=16)


def build_model():
    """An INTR of stride 8 with drawn weights, in eval mode."""
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='INTRClassifier',
            backbone=dict(
                type='ResNet',
                depth=18,
                stem_channels=4,
                base_channels=4,
                num_stages=2,
                strides=(1, 2),
                dilations=(1, 1),
                out_indices=(1, )),
            neck=dict(type='INTREncoder', in_channels=8, num_layers=1, **DIMS),
            head=dict(type='INTRHead', num_classes=5, num_layers=2, **DIMS)))
    return model.eval()


def images_of(*shapes):
    return [255 * torch.rand(3, *shape) for shape in shapes]
