"""Settings that no weight tells, beside those that a model was trained
with."""
import ast
import math
from collections.abc import Sequence
from inspect import signature
from numbers import Real

from torch import Tensor, nn

# Those that some change on purpose, as for finer maps.
_MAY_DIFFER = dict(
    backbone=('strides', 'dilations', 'style'),
    data_preprocessor=('mean', 'std', 'to_rgb'))
_UNKNOWN = object()


def compare_settings(model: nn.Module, checkpoint: dict,
                     whole: bool) -> tuple[str | None, list[str]]:
    """Find what a model does otherwise than the one that was trained, as far
    as the config in the checkpoint can be read.

    Args:
        model: Classifier.
        checkpoint: Content of the file.
        whole: Whether the model is to be the trained one. Else only the head
            that it learns from is, with the features below, if there is any.

    Returns:
        Why the checkpoint does not fit, as the end of a sentence that it
        begins, None if it does; and sentences on what may be meant.
    """
    trained = _stored_config(checkpoint)
    told = trained.get('model')
    if not isinstance(told, dict):
        return None, []
    head, place = getattr(model, 'head', None), 'model.head'
    if (getattr(head, 'distill', False) and isinstance(told.get('head'), dict)
            and 'auxiliary' not in told['head']):
        head, place = head.auxiliary, f'{place}.auxiliary'
    elif not whole:  # training goes on from it, and may change anything
        return None, []
    neck = getattr(model, 'neck', None)
    for path, part, config in (('model.neck', neck, told.get('neck')),
                               (place, head, told.get('head'))):
        other = _first_other(part, config, getattr(part, 'untold_settings',
                                                   ()))
        if other is not None:
            name, old, new = other
            return (f'was trained with {name}={old!r} but {path}.{name} is '
                    f'{new!r}, which no weight tells: use the config it was '
                    f'trained with, or set `--cfg-options {path}.{name}={old}`'
                    ), []
    # the preprocessor may stand beside the model
    configs, remarks = {**trained, **told}, []
    for path, names in _MAY_DIFFER.items():
        other = _first_other(
            getattr(model, path, None), configs.get(path), names)
        if other is not None:
            name, old, new = other
            remarks.append(
                f'The checkpoint was trained with {name}={old!r} of the '
                f'{path}, but the model has {new!r}: scores will be others '
                'than in training, unless the pipeline makes up for it.')
    return None, remarks


def _stored_config(checkpoint: dict) -> dict:
    """What can be read of the config, a text of Python, without running it."""
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


def _first_other(part: nn.Module | None, config: dict | None,
                 names: Sequence[str]) -> tuple | None:
    """The first setting of a part of a model that is another than in training.

    Args:
        part: The part.
        config: That of the part in training.
        names: Attributes of the part, called as the arguments.

    Returns:
        Name of the setting, its value in training, and that of now.
    """
    if not isinstance(part, nn.Module) or not isinstance(config, dict):
        return None
    trained = {**_defaults(part, config), **config}
    for name in names:
        old, new = trained.get(name, _UNKNOWN), getattr(part, name, None)
        new = new.flatten().tolist() if isinstance(new, Tensor) else new
        if old is not _UNKNOWN and not _same(old, new):
            return name, old, new
    return None


def _defaults(part: nn.Module, config: dict) -> dict:
    """Defaults of the class that a config names, as far as it and those that
    it inherits from belong to us or to mmpretrain."""
    kind = str(config.get('type', type(part).__name__)).rpartition('.')[2]
    defaults = {}
    for cls in reversed(type(part).__mro__):
        if '__init__' in vars(cls):
            if not cls.__module__.startswith(('intr_mm.', 'mmpretrain.')):
                defaults = {}  # of which it may hand on others
            arguments = signature(cls.__init__).parameters.values()
            defaults.update((a.name, a.default) for a in arguments
                            if a.default is not a.empty)
        if cls.__name__ == kind:
            return defaults
    return {}  # the model has another class, of other defaults


def _same(old, new) -> bool:
    """Whether two settings are equal, but for a list instead of a tuple and
    the digits of float32."""
    old, new = (
        value if isinstance(value, (list, tuple)) else [value]
        for value in (old, new))
    return len(old) == len(new) and all(map(_close, old, new))


def _close(old, new) -> bool:
    if isinstance(old, Real) and isinstance(new, Real):
        return math.isclose(old, new, rel_tol=1e-5)
    return old == new
