"""Images for ``tests/data/tiny_intr.py``, and runners of it."""
import importlib
import itertools
import os
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner

CONFIG = str(Path(__file__).parent / 'data' / 'tiny_intr.py')
FIELDS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
_count = itertools.count()


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


def build_runner(root: Path, work_dir: Path, **options) -> Runner:
    """Build a runner that loads its data in this process.

    Args:
        root: Folder of the images.
        work_dir: Work folder.
        **options: Changes to the config, ``__`` in a name stands for a dot.

    Returns:
        The runner.
    """
    cfg = Config.fromfile(CONFIG)
    cfg.work_dir = str(work_dir)
    # runners of one name share their state
    cfg.experiment_name = f'tiny_{next(_count)}'
    cfg.train_dataloader.num_workers = 0
    cfg.merge_from_dict(data_options(root))
    cfg.merge_from_dict({
        key.replace('__', '.'): value
        for key, value in options.items()
    })
    return Runner.from_cfg(cfg)


def import_transformers():
    """Import transformers, which otherwise asks its hub for news."""
    os.environ.setdefault('HF_HUB_OFFLINE', '1')
    return importlib.import_module('transformers')
