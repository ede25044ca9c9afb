"""How the official code is reached: its modules, its options."""
import sys
from pathlib import Path

import torchvision
from mmengine.config import Config

_MODULES = ('models', 'util', 'datasets')
_RESNETS = ('ResNet', 'TorchvisionResNet')
_NEEDED = ('models/intr.py', 'datasets/build.py', 'util/misc.py')


def check_official_code(code: Path) -> None:
    """Check that a folder is a checkout of the official code.

    Args:
        code: The folder.

    Raises:
        ValueError: If it is not.
    """
    for name in _NEEDED:
        if not (code / name).is_file():
            raise ValueError(
                f"--official '{code}' has no {name}: name a checkout of "
                'github.com/Imageomics/INTR.')


def use_official_code(code: Path) -> None:
    """Make the modules of the official code importable in this process.

    Its backbone is built without the ImageNet weights that it would download.

    Args:
        code: The checkout.
    """
    # other packages of these names may have been imported before
    for name in list(sys.modules):
        if name.split('.')[0] in _MODULES:
            del sys.modules[name]
    sys.path.insert(0, str(code))
    for name in ('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'):
        setattr(torchvision.models, name,
                _without_weights(getattr(torchvision.models, name)))


def official_args(cfg: Config, num_classes: int, device: str) -> dict:
    """Options of the official code for the model of a config.

    Args:
        cfg: Full config.
        num_classes: Number of classes.
        device: Where to compute.

    Returns:
        The options that its ``build_model`` reads.

    Raises:
        ValueError: The official code has no such model.
    """
    backbone, neck, head = cfg.model.backbone, cfg.model.neck, cfg.model.head
    if backbone.type not in _RESNETS or head.get('queries_per_class', 1) != 1:
        raise ValueError(
            f"The official code has no such model as '{cfg.filename}': it is "
            'INTR on a ResNet with one query per class; leave --official out.')
    return dict(
        backbone=f'resnet{backbone.depth}',
        dilation=tuple(backbone.get('dilations', ()))[-1:] == (2, ),
        position_embedding='sine',
        lr_backbone=1e-5,  # only whether it is 0 matters
        hidden_dim=head.embed_dims,
        nheads=head.num_heads,
        enc_layers=neck.num_layers,
        dec_layers=head.num_layers,
        dim_feedforward=head.feedforward_channels,
        dropout=head.get('dropout', 0.1),
        pre_norm=False,
        num_queries=num_classes,
        dataset_name='',  # its name of CUB would overrule num_queries
        device=device)


def _without_weights(build):

    def wrapper(*args, pretrained=None, weights=None, **kwargs):
        return build(*args, weights=None, **kwargs)

    return wrapper
