"""The same random weights for all implementations."""
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from torch import nn

from intr_mm.checkpoints import TO_OFFICIAL, rename


def build_model(cfg: Config, num_classes: int) -> nn.Module:
    """Build the model of a config for a number of classes, without weights.

    Args:
        cfg: Full config.
        num_classes: Number of classes.

    Returns:
        The model; nothing was fetched.
    """
    model = deepcopy(cfg.model)
    model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    model.head.num_classes = num_classes
    model.pop('init_cfg', None)
    model.backbone.pop('init_cfg', None)
    model.backbone.pop('pretrained', None)
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmpretrain')):
        return MODELS.build(model)


def save_random_weights(cfg: Config, num_classes: int, seed: int,
                        folder: Path) -> None:
    """Write random weights under our and under the official names.

    Args:
        cfg: Full config.
        num_classes: Number of classes.
        seed: Seed of the weights.
        folder: Where :func:`weights_file` lies.
    """
    torch.manual_seed(seed)
    model = build_model(cfg, num_classes)
    with _silent():  # it would tell how each parameter was initialised
        model.init_weights()
    randomize(model)
    weights = model.state_dict()
    torch.save(weights, weights_file(folder, num_classes, official=False))
    # the official code's frozen normalisation layers count no batches
    official = {
        rename(name, TO_OFFICIAL): tensor
        for name, tensor in weights.items()
        if not name.endswith('num_batches_tracked')
    }
    torch.save(official, weights_file(folder, num_classes, official=True))


def weights_file(folder: Path, num_classes: int, official: bool) -> Path:
    """Where weights are kept.

    Args:
        folder: Folder of the weights.
        num_classes: Number of classes.
        official: Whether under the official names.

    Returns:
        The file.
    """
    name = 'official' if official else 'ours'
    return folder / f'{name}_{num_classes}.pth'


@contextmanager
def _silent() -> Iterator[None]:
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')
    try:
        yield
    finally:
        logger.setLevel(level)


@torch.no_grad()
def randomize(model: nn.Module) -> None:
    """Move what initialisation leaves at 0 and 1.

    Else a bias, a scale or a statistic that an implementation forgets would
    change nothing.

    Args:
        model: Changed in place.
    """
    for parameter in model.parameters():
        if parameter.dim() < 2:
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.8, 1.25)
