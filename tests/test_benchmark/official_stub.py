"""A folder shaped like the official code, around this package's model."""
from pathlib import Path

from ..tiny import CONFIG

MODEL = f"""
_base_ = '{CONFIG}'
model = dict(
    backbone=dict(
        _delete_=True,
        type='TorchvisionResNet',
        depth=18,
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True),
    neck=dict(in_channels=512))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.2))),
    clip_grad=dict(max_norm=0.1))
"""
MODELS = """
import torch
from mmengine.config import Config
from benchmarks.inputs import build_model as build_ours


class INTR(torch.nn.Module):

    def __init__(self, num_queries):
        super().__init__()
        cfg = Config.fromfile('{config}')
        self.model = build_ours(cfg, num_queries)

    def load_state_dict(self, state_dict):
        assert 'transformer.encoder.layers.0.linear1.weight' in state_dict
        self.model.load_state_dict(state_dict)

    def forward(self, images):
        logits = self.model(images)
        if logits.size(1) == {wrong_for}:
            logits = logits + 0.01
        return {{'query_logits': logits}}, None


def build_model(args):
    assert args.backbone == 'resnet18' and args.hidden_dim == 16
    return INTR(args.num_queries), None
"""
MISC = """
import torch

nested_tensor_from_tensor_list = torch.stack
"""
BUILD = """
from torchvision.transforms.functional import to_tensor


def make_transforms(image_set, args):
    return lambda image, target: (to_tensor(image), target)
"""


def write_stub(folder: Path, wrong_for: int) -> str:
    """Write the stub and a config that it can build.

    Args:
        folder: Where to write both.
        wrong_for: Number of classes for which its logits are wrong.

    Returns:
        Path of the config.
    """
    config = folder / 'resnet18.py'
    config.write_text(MODEL)
    models = MODELS.format(config=config, wrong_for=wrong_for)
    for name, text in {
            'models/__init__.py': models,
            'models/intr.py': '',
            'util/__init__.py': '',
            'util/misc.py': MISC,
            'datasets/__init__.py': '',
            'datasets/build.py': BUILD
    }.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return str(config)
