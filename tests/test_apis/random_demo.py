"""The demo's model with drawn weights, which tests need no training for."""
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmpretrain import get_model

from intr_mm.datasets.ring_species import RingSpecies

CONFIG = str(Path(__file__).parents[2] / 'configs' / 'intr_demo.py')


def write_checkpoint(path: Path) -> str:
    """Write a checkpoint of drawn weights that knows its classes."""
    torch.manual_seed(0)
    model = get_model(Config.fromfile(CONFIG), pretrained=False)
    model.init_weights()
    # Attention that differs from cell to cell, which drawn weights hardly do.
    for layer in model.head.decoder.layers:
        layer.cross_attn.attn.in_proj_weight.data.mul_(4)
    torch.save(
        dict(
            state_dict=model.state_dict(),
            meta=dict(dataset_meta=RingSpecies.METAINFO)), path)
    return str(path)


def write_birds(folder: Path, *shapes) -> None:
    """Write a picture of noise over a gradient for each (height, width)."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for i, (height, width) in enumerate(shapes):
        image = rng.integers(0, 256, (6, 9, 3), np.uint8)
        cv2.imwrite(
            str(folder / f'bird_{i}.png'), cv2.resize(image, (width, height)))
