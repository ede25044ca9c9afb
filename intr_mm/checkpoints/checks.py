"""What a checkpoint must hold to be used at all, and to fit a model."""
import ast
import logging
import math
import re
from collections import OrderedDict
from collections.abc import Sequence
from inspect import signature
from numbers import Real
from textwrap import shorten

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from .conversion import adapt_foreign

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64,
           torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32,
           torch.int64)
_UNKNOWN = object()


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
        problem = _find_other_setting(model, checkpoint, whole)
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


def _stored_config(checkpoint: dict) -> dict:
    """What can be read, without running it, of the config (a text of Python)
    that a model was trained with."""
    config = checkpoint.get('meta', {}).get('cfg')
    try:
        tree = ast.parse(config if isinstance(config, str) else '')
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    return {
        ast.unparse(node.targets[0]): _read(node.value)
        for node in tree.body if isinstance(node, ast.Assign)
    }


def _read(node: ast.expr):
    if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict':
        return {entry.arg: _read(entry.value) for entry in node.keywords}
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _UNKNOWN


def _differing(built: nn.Module | None, told: dict | None,
               names: Sequence[str]) -> tuple | None:
    """The first setting of a part of a model that is another than in training.

    Args:
        built: The part.
        told: Its config in training.
        names: Attributes of the part, called as the arguments.

    Returns:
        Name of the setting, its value in training, and that of now.
    """
    if not isinstance(built, nn.Module) or not isinstance(told, dict):
        return None
    kind = str(told.get('type', type(built).__name__)).rpartition('.')[2]
    defaults = {}
    for cls in reversed(type(built).__mro__):
        if '__init__' in vars(cls):
            if not cls.__module__.startswith(('intr_mm.', 'mmpretrain.')):
                defaults = {}  # of which it may hand on others
            arguments = signature(cls.__init__).parameters.values()
            defaults.update((a.name, a.default) for a in arguments
                            if a.default is not a.empty)
        if cls.__name__ == kind:
            break
    else:  # another class, of other defaults
        defaults = {}
    for name in names:
        old = told.get(name, defaults.get(name, _UNKNOWN))
        new = getattr(built, name, None)
        new = new.flatten().tolist() if isinstance(new, Tensor) else new
        if old is not _UNKNOWN and not _same(old, new):
            return name, old, new
    return None


def _same(old, new) -> bool:
    """Whether two settings are equal, but for a list instead of a tuple and
    the digits of float32."""
    old, new = (
        value if isinstance(value, (list, tuple)) else [value]
        for value in (old, new))
    return len(old) == len(new) and all(a == b or isinstance(
        a, Real) and isinstance(b, Real) and math.isclose(a, b, rel_tol=1e-5)
                                        for a, b in zip(old, new))


def _find_other_setting(model: nn.Module, checkpoint: dict,
                        whole: bool) -> str | None:
    trained = _stored_config(checkpoint)
    told = trained.get('model')
    if not isinstance(told, dict):
        return None
    neck, head = (getattr(model, part, None) for part in ('neck', 'head'))
    place = 'model.head'
    if (getattr(head, 'distill', False) and isinstance(told.get('head'), dict)
            and 'auxiliary' not in told['head']):
        head, place = head.auxiliary, f'{place}.auxiliary'  # learned from
    elif not whole:  # training goes on from it, and may change anything
        return None
    for path, built, part in (('model.neck', neck, told.get('neck')),
                              (place, head, told.get('head'))):
        found = _differing(built, part, getattr(built, 'untold_settings', ()))
        if found is not None:
            name, old, new = found
            return (
                f'was trained with {name}={old!r} but {path}.{name} is '
                f'{new!r}, which no weight tells: use the config it was '
                f'trained with, or set `--cfg-options {path}.{name}={old}`')
    # which some change on purpose, as for finer maps
    preprocessor = told.get('data_preprocessor',
                            trained.get('data_preprocessor'))
    for part, told_part, names in (('backbone', told.get('backbone'),
                                    ('strides', 'dilations', 'style')),
                                   ('data_preprocessor', preprocessor,
                                    ('mean', 'std', 'to_rgb'))):
        found = _differing(getattr(model, part, None), told_part, names)
        if found is not None:
            name, old, new = found
            print_log(
                f'The checkpoint was trained with {name}={old!r} of the '
                f'{part}, but the model has {new!r}: scores will be others '
                'than in training, unless the pipeline makes up for it.',
                'current', logging.WARNING)
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
