"""What all implementations get alike: random weights and inputs, and the
nominal work in FLOPs."""
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

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


def make_images(case: Case, device: str) -> Tensor:
    """Images as after normalisation, float32 of shape (B, 3, H, W)."""
    return _randn(case, 3).to(device)


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
    """Data samples of images without padding, as the data preprocessor gives
    them."""
    sizes = dict(img_shape=case.shape, batch_input_shape=case.shape)
    samples = [DataSample(metainfo=sizes) for _ in range(case.batch_size)]
    if labels is not None:
        for sample, label in zip(samples, labels):
            sample.set_gt_label(label)
    return samples


def count_flops(cfg: Config, case: Case) -> int:
    """FLOPs of a case, two for each multiply-add; 0 if no model takes part.

    It is the nominal work, B times that of one image: what an implementation
    computes twice counts once. Training costs three forward passes, less two
    thirds of that for frozen convolutions, which have no backward pass.
    """
    if case.files:
        return 0
    model = build_model(cfg, case.num_classes).eval()
    one = replace(case, batch_size=1)
    frozen = 0

    def add_frozen(conv: nn.Conv2d, inputs: tuple, out: Tensor) -> None:
        nonlocal frozen
        frozen += 2 * out.numel() * conv.weight[0].numel()

    for module in model.modules():
        if isinstance(module, nn.Conv2d) and not module.weight.requires_grad:
            module.register_forward_hook(add_frozen)
    # Frozen, as PyTorch's counter hooks into gradients where there are some.
    model.requires_grad_(False).to('meta')
    with FlopCounterMode(display=False) as counter:
        if case.name == 'decoder':
            model.head((make_memory(one, model.head.embed_dims, 'meta'), ))
        else:
            model(make_images(one, 'meta'))
    flops = counter.get_total_flops()
    if case.training:
        flops = 3 * flops - 2 * frozen
    return case.batch_size * flops
