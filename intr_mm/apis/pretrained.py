"""Models with all of their weights, or an error."""
import os
import re
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader
from mmpretrain.apis import get_model
from mmpretrain.apis.base import ModelType
from mmpretrain.apis.model import ModelHub

from intr_mm.checkpoints import class_names, fit_checkpoint
from intr_mm.deploy import ExportedClassifier, check_exported
from intr_mm_flags import is_exported


def open_model(model: ModelType, pretrained: bool | str,
               device: str | torch.device | None,
               kwargs: dict) -> tuple[BaseModel, str | None]:
    """Take a model that is built, or build it; see :class:`INTRInferencer`.

    Args:
        model: A name, a config, the path of one or of an exported file, or
            the model.
        pretrained: Path or URL of the checkpoint or of an exported file, True
            or False.
        device: Where it is going to run.
        kwargs: Other arguments of ``get_model``.

    Returns:
        The model, which knows its config, and where its weights are if that
        is given or named.

    Raises:
        TypeError: ``model`` or ``pretrained`` is none of these.
        ValueError: The device is none, or the weights do not fit.
    """
    if isinstance(model, os.PathLike):
        model = os.fspath(model)
    if not isinstance(model, (BaseModel, Config, str)):
        raise TypeError('model has to be a name, a config, the path of one, '
                        'or what mmpretrain.get_model built, got '
                        f'{type(model).__name__}.')
    if isinstance(pretrained, os.PathLike):
        pretrained = os.fspath(pretrained)
    if not isinstance(pretrained, (bool, str, type(None))):
        raise TypeError('pretrained has to be the path or URL of a '
                        'checkpoint, True or False, got '
                        f'{type(pretrained).__name__}.')
    if device is not None:
        _check_device(device)
    if is_exported(model) or is_exported(pretrained):
        model, pretrained = _load_exported(model, pretrained), True
    if not isinstance(model, BaseModel):
        return build_model(model, pretrained, kwargs)
    if not hasattr(model, '_config'):
        raise ValueError(
            f'{type(model).__name__} does not know its config, hence not how '
            'images are prepared: build it by mmpretrain.get_model, or pass '
            'the config.')
    if not isinstance(pretrained, str):
        return model, None
    load_weights_into(model, pretrained)
    return model, pretrained


def find_config(model: ModelType) -> tuple[Config, str | None]:
    """The config that a model is given by, and the weights that are named for
    it.

    Args:
        model: A name, a config, or the path of one.
    """
    if not isinstance(model, Config):
        if Path(model).suffix != '.py':
            info = ModelHub.get(model)
            return info.config, info.weights
        model = Config.fromfile(model)
    return model, model.get('load_from')


def build_model(model: ModelType, pretrained: bool | str | None,
                kwargs: dict) -> tuple[BaseModel, str | None]:
    """Build a model of a name or config, as :func:`mmpretrain.get_model` does.

    Args:
        model: A name, a config, or the path of one.
        pretrained: Path or URL of the checkpoint. True and None take the one
            that the name or config names, False draws weights at random.
        kwargs: Other arguments of ``get_model``.

    Returns:
        The model, which knows the names of the checkpoint's classes, and where
        its weights are; None if they are drawn.

    Raises:
        ValueError: No weights are named, or they do not fit the model.
    """
    cfg, path = find_config(model)
    if pretrained is False:
        kwargs = {k: v for k, v in kwargs.items() if k != 'url_mapping'}
        return get_model(model, False, **kwargs), None
    if pretrained not in (True, None):
        path = pretrained
    elif path is None:
        raise ValueError(
            f"No weights are given for '{getattr(model, 'filename', model)}', "
            'which names none itself: pass the checkpoint as `pretrained`, or '
            'False for random weights.')
    kwargs = dict(kwargs)
    url_mapping = kwargs.pop('url_mapping', None)
    source = path if url_mapping is None else re.sub(*url_mapping, path)
    checkpoint = CheckpointLoader.load_checkpoint(source, 'cpu')
    classes = class_names(checkpoint)
    # the classes of the checkpoint, where the config leaves them to the data
    if ((cfg.model.get('head') or {}).get('num_classes', 0) is None
            and classes is not None):
        kwargs['head'] = dict(kwargs.get('head', {}), num_classes=len(classes))
    model = get_model(model, False, **kwargs)
    load_weights_into(model, source, checkpoint)
    return model, path


def load_weights_into(model: BaseModel,
                      path: str,
                      checkpoint: dict | None = None) -> None:
    """Load a checkpoint that fits in every weight.

    Args:
        model: Classifier.
        path: Path or URL of the checkpoint.
        checkpoint: Its content, if it is there already.

    Raises:
        ValueError: The checkpoint does not fit.
    """
    if checkpoint is None:
        checkpoint = CheckpointLoader.load_checkpoint(path, 'cpu')
    fit_checkpoint(model, checkpoint, path)
    classes = class_names(checkpoint)
    if classes is not None:
        known = getattr(model, '_dataset_meta', None) or {}
        model._dataset_meta = dict(known, classes=classes)


def _check_device(device: str | torch.device) -> None:
    try:
        torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(f"device={device!r} is none of PyTorch's: use 'cpu', "
                         "or such as 'cuda:0'.") from None


def _load_exported(model: ModelType,
                   pretrained: bool | str) -> ExportedClassifier:
    """An exported file, with the config if one is given."""
    if is_exported(model):
        return ExportedClassifier(str(model))
    exported = ExportedClassifier(str(pretrained))
    exported._config, _ = find_config(model)
    check_exported(exported, exported._config)
    return exported
