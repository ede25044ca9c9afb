"""Golden cases: outputs of the official INTR code for drawn weights.

Made with github.com/Imageomics/INTR at 69b8a69. Inputs are not stored but
drawn from a seed and their name; only outputs are.
"""
import argparse
import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmpretrain.registry import MODELS

FOLDER = Path(__file__).parent / 'data' / 'golden'


def draw(seed: int, name: str, shape: list) -> np.ndarray:
    """The state-dict entry of this name."""
    r = np.random.RandomState(zlib.crc32(f'{seed}:{name}'.encode()))
    fan = math.prod(shape[1:])
    if name.endswith('running_var'):
        value = r.uniform(.5, 1.5, shape)
    elif name.endswith('running_mean'):
        value = r.normal(0, .1, shape)
    elif len(shape) <= 1 and name.endswith('weight') and any(
            part in name for part in ('norm', '.bn', 'downsample.1')):
        value = 1 + r.normal(0, .1, shape)
    elif len(shape) <= 1:
        value = r.normal(0, .1, shape)
    elif name == 'query_embed.weight':
        value = r.normal(0, 1, shape)
    elif 'out_proj.weight' in name:
        value = r.normal(0, .5 / math.sqrt(fan), shape)
    elif 'in_proj_weight' in name:
        value = r.normal(0, 2 / math.sqrt(fan), shape)
    else:
        value = r.normal(0, math.sqrt(2 / fan), shape)
    return np.float32(value)


class GoldenCase:
    """One case: settings, drawn inputs and the official outputs.

    Args:
        name: ``'tiny'`` or ``'r50'``.
    """

    def __init__(self, name: str) -> None:
        case = json.loads((FOLDER / f'{name}.json').read_text())
        self.seed, self.sizes = case['seed'], case['sizes']
        self.config, self.shapes = case['config'], case['state_dict']
        with np.load(FOLDER / f'{name}.npz') as outputs:
            self.outputs = {k: torch.from_numpy(v) for k, v in outputs.items()}

    def official_checkpoint(self) -> dict:
        """A checkpoint as the official code saves it, weights drawn."""
        state_dict = {
            name: torch.from_numpy(np.asarray(draw(self.seed, name, shape)))
            for name, shape in self.shapes.items()
        }
        return dict(
            model=state_dict,
            optimizer=dict(state={}, param_groups=[dict(lr=5e-5)]),
            epoch=139,
            args=argparse.Namespace(**self.config))

    def images(self) -> list:
        """The normalised images, each float32 of shape (3, h, w)."""
        images = []
        for i, size in enumerate(self.sizes):
            r = np.random.RandomState(
                zlib.crc32(f'{self.seed}:image{i}'.encode()))
            images.append(
                torch.from_numpy(np.float32(r.normal(0, 1, (3, *size)))))
        return images

    def model_cfg(self) -> dict:
        """Config of our model with the settings of the case."""
        c = self.config
        depth = int(c.get('backbone', 'resnet50')[6:])
        dims = dict(
            embed_dims=c.get('dim', 256),
            num_heads=c.get('heads', 8),
            feedforward_channels=c.get('ffn', 2048))
        return dict(
            type='INTRClassifier',
            backbone=dict(type='ResNet', depth=depth),
            neck=dict(
                type='INTREncoder',
                in_channels=512 if depth < 50 else 2048,
                num_layers=c.get('enc', 6),
                **dims),
            head=dict(
                type='INTRHead',
                num_classes=c['num_queries'],
                num_layers=c.get('dec', 6),
                **dims))

    def model(self):
        """Our model with the settings of the case, in eval mode."""
        return MODELS.build(ConfigDict(self.model_cfg())).eval()
