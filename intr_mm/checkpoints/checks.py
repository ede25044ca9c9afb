"""What a checkpoint must hold to be used at all, and to fit a model."""
import logging
import re
from collections import OrderedDict
from textwrap import shorten

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from .conversion import adapt_foreign
from .settings import compare_settings

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64,
           torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32,
           torch.int64)


def class_names(checkpoint: dict) -> list[str] | None:
    """Names of the classes that a checkpoint was trained on.

    Args:
        checkpoint: Content of the file.

    Returns:
        The names, None if it holds none.

    Raises:
        ValueError: What it holds is no list of texts.
    """
    meta = checkpoint.get('meta', {})
    dataset_meta = meta.get('dataset_meta') or {}
    if not isinstance(dataset_meta, dict):
        raise ValueError('it holds a dataset_meta that is a '
                         f'{type(dataset_meta).__name__} and no dict')
    # versions 0.x of mmcls wrote CLASSES
    names = dataset_meta.get('classes', meta.get('CLASSES'))
    if names is None:
        return None
    if not isinstance(names, (list, tuple)):
        raise ValueError(f'it holds class names that are a '
                         f'{type(names).__name__} and no list of texts')
    for name in names:
        if not isinstance(name, str):
            raise ValueError('it holds a class name that is a '
                             f'{type(name).__name__} and no text')
    return list(names)


def check_content(checkpoint: dict) -> None:
    """Check what any checkpoint must be: finite numbers by name.

    Args:
        checkpoint: Content of the file.

    Raises:
        ValueError: A weight is no tensor, or not a plain one of finite
            numbers; or what should be a dict or a list of texts is none.
    """
    for key in ('meta', 'state_dict'):
        if not isinstance(checkpoint.get(key, {}), dict):
            raise ValueError(f"its '{key}' is a "
                             f'{type(checkpoint[key]).__name__} and no dict')
    class_names(checkpoint)
    nested = [
        checkpoint[key] for key in ('model', 'state_dict', 'ema_state_dict')
        if isinstance(checkpoint.get(key), dict)
    ]
    problems = []
    for weights in nested or [checkpoint]:
        for name, value in weights.items():
            problem = _weight_problem(name, value, bool(nested))
            if problem:
                problems.append(problem)
    if problems:
        others = len(problems) - 1
        raise ValueError(problems[0] +
                         (f', and {others} more like it' if others else ''))


def _weight_problem(name: str, value: object, nested: bool) -> str | None:
    if not isinstance(name, str):
        return f'it names a weight {name!r}, which is no text'
    if not isinstance(value, Tensor):
        # beside weights that lie bare in a file, there may be anything
        is_weight = nested or '.' in name
        if not is_weight or name.endswith('_extra_state'):
            return None
        return f"its '{name}' is a {type(value).__name__} and no tensor"
    if (value.layout != torch.strided or value.is_meta
            or value.dtype not in _DTYPES):
        return (f"its '{name}' is a tensor of {value.dtype}, {value.layout}, "
                f'on the device {value.device}, and not one of real numbers')
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return (f"its '{name}' claims {value.numel()} numbers, of which the "
                'file holds fewer')
    if value.is_floating_point() and not value.isfinite().all():
        return f"its '{name}' holds numbers that are not finite"
    return None


def fit_checkpoint(model: nn.Module,
                   checkpoint: dict,
                   name: str,
                   whole: bool = True) -> dict[str, Tensor]:
    """Check that a checkpoint fits a model, and convert a foreign one.

    Args:
        model: Classifier.
        checkpoint: Content of the file.
        name: Path of the file, for messages.
        whole: Whether it has to fit in every weight, and is loaded. Else it
            has to share weights with the model.

    Returns:
        Its weights under the names of the model.

    Raises:
        ValueError: It does not fit.
    """
    try:
        check_content(checkpoint)
        foreign = adapt_foreign(checkpoint, model)
    except ValueError as error:
        raise ValueError(
            f"Checkpoint '{name}' cannot be taken: {error}.") from None
    if foreign is None:
        given = checkpoint.get('state_dict', checkpoint)
        weights = OrderedDict(
            (re.sub(r'^module\.', '', k), v) for k, v in given.items())
        # versions of the layers, which some need to load
        weights._metadata = getattr(given, '_metadata', None)
    else:
        foreign.log()
        weights = foreign.state_dict
    problem = _find_misfit(model, weights)
    if problem is None:
        problem, remarks = compare_settings(model, checkpoint, whole)
        for remark in remarks:
            print_log(remark, 'current', logging.WARNING)
    if problem is None and whole:
        problem = _find_difference(model, weights, checkpoint)
    if problem is not None:
        raise ValueError(f"Checkpoint '{name}' {problem}.")
    return weights


def _find_misfit(model: nn.Module, weights: dict) -> str | None:
    own = model.state_dict()
    if not weights.keys() & own.keys():
        return ('shares no weight with the model: give a checkpoint of '
                f'{type(model).__name__}')
    for name, tensor in own.items():
        given = weights.get(name, tensor)
        if not isinstance(given, Tensor):
            return (f"holds a {type(given).__name__} as '{name}' where a "
                    'tensor is needed: save it again from its model')
        if tensor.is_floating_point() and not given.is_floating_point():
            return (f"holds '{name}' in {given.dtype} where fractions are "
                    'needed: save it again from its model')
    return None


def _find_difference(model: nn.Module, weights: dict,
                     checkpoint: dict) -> str | None:
    classes = class_names(checkpoint)
    num_classes = getattr(getattr(model, 'head', None), 'num_classes', None)
    if None not in (classes, num_classes) and len(classes) != num_classes:
        return (f'was trained on {len(classes)} classes but '
                f'model.head.num_classes is {num_classes}: use its own '
                'config, or set `--cfg-options model.head.num_classes='
                f'{len(classes)}`')
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        lines = str(error).strip().split('\n\t')
        first, *others = lines[1:] or lines
        first = shorten(first.strip().rstrip('. '), 250, placeholder=' ...')
        more = f' and {len(others)} more' if others else ''
        return (f'does not fit the model ({first}{more}): use the config it '
                'was trained with')
    return None
