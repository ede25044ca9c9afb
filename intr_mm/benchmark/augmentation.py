"""The training augmentation of both implementations, on one core."""
import random
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS, TRANSFORMS
from torch import Tensor

_CHECKED = 4


def augment_ours(cfg: Config, files: Sequence[str]) -> Callable[[], None]:
    """Prepare the training pipeline of the config, with normalisation.

    Args:
        cfg: Full config.
        files: The photos.

    Returns:
        Loads and augments all photos.
    """
    cv2.setNumThreads(1)
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmpretrain')):
        steps = cfg.train_dataloader.dataset.pipeline
        pipeline = Compose([TRANSFORMS.build(step) for step in steps])
        preprocessor = MODELS.build(
            dict(
                dict(type='INTRDataPreprocessor'),
                **cfg.model.get('data_preprocessor')
                or cfg.get('data_preprocessor') or {}))

    def augment(file: str) -> Tensor:
        results = pipeline(dict(img_path=file, gt_label=0))
        batch = dict(
            inputs=[results['inputs']], data_samples=[results['data_samples']])
        return preprocessor(batch, training=True)['inputs'][0]

    return _over_all(augment, files)


def augment_official(files: Sequence[str]) -> Callable[[], None]:
    """Prepare the training transform of the official code.

    Args:
        files: The photos.

    Returns:
        Loads and augments all photos.
    """
    from datasets.build import make_transforms
    from torchvision.datasets.folder import default_loader
    transform = make_transforms('train', None)

    def augment(file: str) -> Tensor:
        return transform(default_loader(file), {})[0]

    return _over_all(augment, files)


def _over_all(augment: Callable[[str], Tensor],
              files: Sequence[str]) -> Callable[[], None]:
    """Check the first results and make a run over all photos."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    for file in files[:_CHECKED]:
        image = augment(file)
        if image.dim() != 3 or len(image) != 3 or not image.isfinite().all():
            raise RuntimeError(f"'{file}' became an image of shape "
                               f'{tuple(image.shape)} that is not 3 finite '
                               'channels.')

    def run() -> None:
        for file in files:
            augment(file)

    return run
