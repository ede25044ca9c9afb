"""A folder of images trains with nothing but options."""
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from ..tiny import ROOT
from .conftest import run, tool

pytestmark = pytest.mark.slow
CONFIG = ROOT / 'configs' / 'intr_folder.py'
NAMES = tuple(f'species {i:02d}' for i in range(17))
TRAIN, VAL = 'train_dataloader', 'val_dataloader'
LAYERS = dict(
    num_layers=1, embed_dims=16, num_heads=2, feedforward_channels=16)
# Small enough for seconds on one core.
SMALL = {
    'load_from': 'None',
    'model.backbone.depth': 18,
    'model.neck.in_channels': 512,
    'train_cfg.max_epochs': 2,
    'default_hooks.checkpoint.interval': 1,
    f'{TRAIN}.num_workers': 0,
    f'{VAL}.num_workers': 0,
    f'{TRAIN}.dataset.pipeline.1.scales': '[48]',
    f'{TRAIN}.dataset.pipeline.1.max_size': 80,
    f'{VAL}.dataset.pipeline.1.scale': '(80,48)',
}
for part in ('neck', 'head'):
    for name, value in LAYERS.items():
        SMALL[f'model.{part}.{name}'] = value
TEST = {
    key.replace(VAL, 'test_dataloader'): value
    for key, value in SMALL.items()
    if key.startswith(('model', VAL)) or key == 'load_from'
}


def write_images(root: Path, split: str, names) -> None:
    rng = np.random.default_rng(0)
    for name in names:
        folder = root / split / name
        folder.mkdir(parents=True)
        for i in range(2):
            shape = (*rng.integers(20, 120, 2), 3)
            image = rng.integers(0, 256, shape, np.uint8)
            cv2.imwrite(str(folder / f'{i}.jpg'), image)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('garden')
    write_images(root, 'train', NAMES)
    write_images(root, 'val', NAMES)
    return root


def test_folder_trains_and_tests_with_options_alone(folder, tmp_path):
    work_dir = tmp_path / 'train'
    options = dict(SMALL, data_root=folder)
    log = run(
        tool('train.py', CONFIG),
        None,
        work_dir,
        '--no-persistent-workers',
        options=options)
    assert 'model.head.num_classes is set to 17' in log

    cfg = Config.fromfile(work_dir / 'intr_folder.py')
    assert cfg.model.head.num_classes == 17
    loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    assert {loader.dataset.data_root for loader in loaders} == {str(folder)}
    path = work_dir / 'epoch_2.pth'
    checkpoint = torch.load(path, map_location='cpu', weights_only=False)
    assert checkpoint['meta']['dataset_meta']['classes'] == NAMES
    assert 'num_classes=17' in checkpoint['meta']['cfg']

    options = dict(TEST, data_root=folder)
    log = run([*tool('test.py', CONFIG), path],
              None,
              tmp_path / 'test',
              options=options)
    assert 'model.head.num_classes is set to 17' in log
    assert 'accuracy/top1' in log
