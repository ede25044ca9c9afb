"""Models with all of their weights, or an error."""
import re
from pathlib import Path

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader
from mmpretrain.apis import get_model
from mmpretrain.apis.base import ModelType
from mmpretrain.apis.model import ModelHub

from intr_mm.checkpoints import class_names, fit_checkpoint


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
