"""What all implementations get alike: random weights and inputs."""
from copy import deepcopy
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from .cases import Case


def build_model(cfg: Config, num_classes: int) -> nn.Module:
    """Our model of a config, with another number of classes and without
    pretrained weights."""
    model = deepcopy(cfg.model)
    model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    model.head.num_classes = num_classes
    for part in (model, model.backbone):
        part.pop('init_cfg', None)
    model.backbone.pop('pretrained', None)
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmpretrain')):
        return MODELS.build(model)


def weights_file(folder: Path, num_classes: int) -> Path:
    """Where random weights are kept, under our names."""
    return folder / f'{num_classes}.pth'


def save_random_weights(cfg: Config, num_classes: int, seed: int,
                        folder: Path) -> None:
    """Write :func:`weights_file`.

    What initialisation leaves at 0 and 1 is moved: else a bias, a scale or a
    statistic that an implementation forgets would change nothing.
    """
    torch.manual_seed(seed)
    model = build_model(cfg, num_classes)
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')  # it would tell how each parameter was made
    model.init_weights()
    logger.setLevel(level)
    for parameter in model.parameters():
        if parameter.dim() < 2:
            parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.8, 1.25)
    torch.save(model.state_dict(), weights_file(folder, num_classes))


def load_model(cfg: Config, case: Case, folder: Path) -> nn.Module:
    """Our model of a config and a case, with the weights in
    :func:`weights_file`."""
    model = build_model(cfg, case.num_classes)
    model.load_state_dict(
        torch.load(weights_file(folder, case.num_classes), weights_only=True))
    return model


def make_images(case: Case, device: str) -> Tensor:
    """Images as after normalisation and padding, float32 of shape (B, 3, H,
    W)."""
    images = _randn(case, 3)
    for image, (height, width) in zip(images, case.views):
        image[:, height:] = 0
        image[:, :, width:] = 0
    return images.to(device)


def make_memory(case: Case, embed_dims: int, device: str) -> Tensor:
    """What the encoder hands to the decoder, float32 of shape (B, D, h, w)."""
    return _randn(case, embed_dims).to(device)


def _randn(case: Case, channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(case.seed)
    return torch.randn(
        case.batch_size, channels, *case.shape, generator=generator)


def make_labels(case: Case, device: str) -> Tensor:
    """Labels to train on, int64 of shape (B, )."""
    generator = torch.Generator().manual_seed(case.seed)
    return torch.randint(
        case.num_classes, (case.batch_size, ), generator=generator).to(device)


def make_samples(case: Case, labels: Tensor | None = None) -> list[DataSample]:
    """Data samples of images, as the data preprocessor gives them."""
    samples = [
        DataSample(
            metainfo=dict(img_shape=view, batch_input_shape=case.shape))
        for view in case.views or [case.shape] * case.batch_size
    ]
    if labels is not None:
        for sample, label in zip(samples, labels):
            sample.set_gt_label(label)
    return samples
