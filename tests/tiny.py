"""Models, images, checkpoints and runs small enough for tests.

The tiny model is that of ``data/tiny_intr.py``: an INTR of stride 16, of 16
dimensions, 2 attention heads, one encoder and one decoder layer, 3 classes.
"""
import functools
import importlib
import itertools
import os
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from intr_mm.datasets import RingSpecies

ROOT = Path(__file__).parents[1]
CONFIG = str(Path(__file__).parent / 'data' / 'tiny_intr.py')
DEMO = str(ROOT / 'configs' / 'intr_demo.py')
FIELDS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# Changes that give the tiny model classes and decoder layers to choose among.
LARGER = dict(head__num_classes=5, head__num_layers=2)
_count = itertools.count()


@functools.cache
def _config() -> Config:
    return Config.fromfile(CONFIG)


def _merge(cfg: ConfigDict, changes: dict) -> ConfigDict:
    """Change a copy of a config; ``__`` in a name stands for a dot."""
    merged = Config(dict(cfg=cfg.to_dict()))
    merged.merge_from_dict({
        f"cfg.{name.replace('__', '.')}": value
        for name, value in changes.items()
    })
    return merged.cfg


def tiny_cfg(**changes) -> ConfigDict:
    """The config of the tiny model.

    Args:
        **changes: What differs, such as ``head__num_classes=5``. A dict with
            ``_delete_=True`` takes the place of the old one.
    """
    cfg = _merge(_config().model, changes)
    if cfg.type == 'ImageClassifier':  # which has no such argument
        cfg.pop('channels_last')
    return cfg


def tiny_model(seed: int = 0,
               std: float | None = None,
               **changes) -> nn.Module:
    """Build a tiny model of drawn weights, in eval mode.

    Args:
        seed: Source of the weights.
        std: Standard deviation of the class queries. From 5 on, attention
            is as sharp as after training, and attention heads differ.
        **changes: See :func:`tiny_cfg`.
    """
    torch.manual_seed(seed)
    model = MODELS.build(tiny_cfg(**changes))
    model.init_weights()
    if std is not None:
        nn.init.normal_(model.head.query_embed.weight, std=std)
    return model.eval()


def tiny_head(seed: int = 0, **changes) -> nn.Module:
    """Build the tiny model's head alone, in eval mode.

    Args:
        seed: Source of the weights.
        **changes: What differs in the head's config, such as ``num_layers=2``.
    """
    torch.manual_seed(seed)
    head = MODELS.build(_merge(_config().model.head, changes))
    head.init_weights()
    return head.eval()


def tiny_batch(*sizes: tuple[int, int],
               labels: tuple[int, ...] | None = None,
               seed: int = 1) -> dict:
    """Draw images as a dataloader hands them to ``data_preprocessor``.

    Args:
        *sizes: Height and width of each image.
        labels: A class for each image; None leaves the samples out.
        seed: Source of the images.

    Returns:
        ``inputs``, each (3, H, W), of whole numbers from 0 to 255 in float32,
        and ``data_samples``.
    """
    draw = torch.Generator().manual_seed(seed)
    batch = dict(inputs=[
        torch.randint(0, 256, (3, *size), generator=draw).float()
        for size in sizes
    ])
    if labels is not None:
        batch['data_samples'] = [
            DataSample().set_gt_label(label) for label in labels
        ]
    return batch


def save_model(model: nn.Module, path: Path, classes=None) -> str:
    """Write a checkpoint, which names its classes if they are given."""
    meta = dict() if classes is None else dict(
        dataset_meta=dict(classes=classes))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return str(path)


def save_demo(path: Path) -> str:
    """Write a checkpoint of the demo's model, of drawn weights."""
    cfg = Config.fromfile(DEMO)
    cfg.model.data_preprocessor = cfg.data_preprocessor
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    # Attention that differs from cell to cell, which drawn weights hardly do.
    for layer in model.head.decoder.layers:
        layer.cross_attn.attn.in_proj_weight.data.mul_(4)
    return save_model(model, path, RingSpecies.METAINFO['classes'])


def write_birds(folder: Path, *sizes: tuple[int, int]) -> None:
    """Write blobs of colour as ``bird_0.png`` and so on."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for i, (height, width) in enumerate(sizes):
        image = rng.integers(0, 256, (6, 9, 3), np.uint8)
        cv2.imwrite(
            str(folder / f'bird_{i}.png'), cv2.resize(image, (width, height)))


def likeness(picture: np.ndarray, image: np.ndarray) -> float:
    """Correlation of an image with the place of a picture that is most like
    it, both (H, W, 3) in uint8 and of one scale."""
    return float(cv2.matchTemplate(picture, image, cv2.TM_CCOEFF_NORMED).max())


def write_images(root: Path) -> None:
    """Write 18 images to train, and 11 to evaluate on, of three classes."""
    rng = np.random.default_rng(0)
    for split, numbers in (('train', (6, 6, 6)), ('val', (4, 4, 3))):
        for label, number in enumerate(numbers):
            folder = root / split / f'class_{label}'
            folder.mkdir(parents=True)
            for i in range(number):
                height, width = rng.integers(40, 64, 2)
                image = rng.integers(0, 256, (height, width, 3), np.uint8)
                image[..., label] = 255
                cv2.imwrite(str(folder / f'{i}.jpg'), image)


def data_options(root: Path) -> dict:
    """Options that point the config to the images."""
    return {f'{field}.dataset.data_root': str(root) for field in FIELDS}


def build_runner(root: Path, work_dir: Path, **changes) -> Runner:
    """Build a runner that loads its data in this process.

    Args:
        root: Folder of the images.
        work_dir: Work folder.
        **changes: Changes to the config, ``__`` in a name stands for a dot.
    """
    cfg = Config.fromfile(CONFIG)
    cfg.work_dir = str(work_dir)
    # runners of one name share their state
    cfg.experiment_name = f'tiny_{next(_count)}'
    cfg.train_dataloader.num_workers = 0
    cfg.merge_from_dict(data_options(root))
    cfg.merge_from_dict({
        name.replace('__', '.'): value
        for name, value in changes.items()
    })
    return Runner.from_cfg(cfg)


def import_transformers():
    """Import transformers, which otherwise asks its hub for news."""
    os.environ.setdefault('HF_HUB_OFFLINE', '1')
    return importlib.import_module('transformers')
