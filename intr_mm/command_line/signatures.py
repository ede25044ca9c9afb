"""What arguments a class or function takes, and of which kinds."""
import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Sequence
from functools import cache
from numbers import Number
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

# Functions that a class calls later with the ``**kwargs`` of its ``__init__``.
KEPT_FOR = {CheckpointHook.__init__: Runner.save_checkpoint}


@cache
def accepted(part: Callable | tuple[str, ...]) -> tuple[dict[str, Any], bool]:
    """The arguments that a part of a config is called with.

    Those of a class include the arguments of its bases as far as ``__init__``
    hands ``**kwargs`` on to them.

    Args:
        part: A class, a function, or the names themselves.

    Returns:
        For each name the annotation, None if there is none, and whether any
        other name is taken as well.
    """
    if isinstance(part, tuple):
        return dict.fromkeys(part), False
    names = {}
    functions = [part]
    if inspect.isclass(part):
        functions = [
            cls.__dict__['__init__'] for cls in part.__mro__
            if '__init__' in cls.__dict__ and cls is not object
        ]
    for function in functions:
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):  # written in C
            return names, True
        hints = _hints(function)
        rest = None
        for parameter in parameters:
            if parameter.kind is parameter.VAR_KEYWORD:
                rest = parameter.name
            elif parameter.name != 'self':
                names.setdefault(parameter.name, hints.get(parameter.name))
        if rest is None:
            return names, False
        read, handed_on = _use_of_rest(function, rest)
        names.update(dict.fromkeys(read - names.keys()))
        if function in KEPT_FOR:
            names.update(accepted(KEPT_FOR[function])[0])
            return names, False
        if not handed_on:
            return names, True
    return names, False


def _hints(function: Callable) -> dict:
    try:
        return typing.get_type_hints(function)
    except Exception:  # names that exist for type checkers only
        return {}


def _use_of_rest(function: Callable, rest: str) -> tuple[set[str], bool]:
    """Which keys of ``**kwargs`` a method reads itself, and whether it hands
    the others on to the ``__init__`` of a base."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return set(), False
    read, handed_on = set(), False
    for node in ast.walk(tree):
        key = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == '__init__':
                handed_on |= any(
                    word.arg is None and isinstance(word.value, ast.Name)
                    and word.value.id == rest for word in node.keywords)
            elif _is_name(node.func.value, rest) and node.args:
                key = node.args[0]
        elif isinstance(node, ast.Subscript) and _is_name(node.value, rest):
            key = node.slice
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            read.add(key.value)
    return read, handed_on


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def fits(value, hint) -> bool:
    """Whether a value of a config is of an annotated kind.

    Annotations of other packages are taken loosely: a list will do for a
    tuple, an int for a float, a dict for any class, which may be built of it.

    Args:
        value: Made of numbers, texts, lists and dicts.
        hint: The annotation; one that is not understood fits all.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, arg) for arg in args)
    if hint is None or hint is typing.Any:
        return True
    if hint is type(None):
        return value is None
    if origin is typing.Literal:
        return value in args
    kind = origin or hint
    if not inspect.isclass(kind) or not isinstance(
            value, (int, float, str, list, tuple, type(None))):
        return True
    if kind is bool:
        return isinstance(value, bool) or value in (0, 1)
    if kind in (int, float) or issubclass(kind, Number):
        number = int if kind is int else (int, float)
        return isinstance(value, number) and not isinstance(value, bool)
    if kind is str:
        return isinstance(value, str)
    if kind is dict:  # of a list, one of each is built
        return isinstance(value, (list, tuple))
    if kind in (list, tuple) or issubclass(kind, Sequence):
        if isinstance(value, (list, tuple)):
            return all(any(fits(v, arg) for arg in args)
                       for v in value) if args else True
        return kind is Sequence and isinstance(value, str)
    return True
