"""Kinds and ranges of single values of a config.

Ranges are up to the class that takes the argument. Those of other packages,
which take a value without a word or refuse it without a name, stand here.
"""
import logging
import math
import multiprocessing
from collections.abc import Callable

from mmengine.hooks import CheckpointHook

from .signatures import fits

# Packages whose annotations are right.
ANNOTATED = ('intr_mm', 'mmengine', 'torch')
_POSITIVE = (lambda v: v >= 1), 'at least 1'
_NOT_NEGATIVE = (lambda v: 0 <= v < math.inf), 'at least 0 and finite'
_SHARE = (lambda v: 0 <= v <= 1), '0 to 1'
# What arguments of other packages may be, by their name.
RANGES = dict(
    batch_size=_POSITIVE,
    num_workers=((lambda v: 0 <= v <= 1024), '0 to 1024'),
    max_epochs=_POSITIVE,
    max_iters=_POSITIVE,
    val_interval=_POSITIVE,
    interval=_POSITIVE,
    max_keep_ckpts=((lambda v: v == -1 or v >= 1), 'at least 1, or -1 for '
                    'all'),
    accumulative_counts=_POSITIVE,
    base_batch_size=_POSITIVE,
    lr=_NOT_NEGATIVE,
    weight_decay=_NOT_NEGATIVE,
    max_norm=((lambda v: v > 0), 'above 0'),
    seed=((lambda v: isinstance(v, int) and 0 <= v < 2**32),
          'a whole number, 0 to 4294967295'),
    dropout=_SHARE,
    drop_rate=_SHARE,
    drop_path_rate=_SHARE,
    prob=_SHARE)
CHOICES = dict(
    mp_start_method=multiprocessing.get_all_start_methods(),
    log_level=list(logging.getLevelNamesMapping()) if hasattr(
        logging, 'getLevelNamesMapping') else [*logging._nameToLevel])


def check_value(value,
                path: str,
                hint=None,
                part: Callable | None = None) -> None:
    """Check the kind and the range of a value.

    Args:
        value: Anything.
        path: Where it stands, for the error message.
        hint: Annotation of the argument.
        part: Who takes it.

    Raises:
        ValueError: It is of another kind, or out of range.
    """
    key = path.rpartition('.')[2]
    if isinstance(value, float) and math.isnan(value):
        raise ValueError(f'{path} is nan: set a number.')
    package = getattr(part, '__module__', '').split('.')[0]
    if (value is not None and package in ANNOTATED and not fits(value, hint)):
        kind = hint.__name__ if isinstance(hint, type) else str(hint)
        kind = kind.replace('typing.', '')
        raise ValueError(f'{path} of {getattr(part, "__name__", "the config")}'
                         f' has to be of kind {kind}, got {value!r}.')
    if key in RANGES and isinstance(value, (int, float, str)):
        in_range, words = RANGES[key]
        never = (
            key == 'interval' and value == -1 and isinstance(part, type)
            and issubclass(part, CheckpointHook))
        if isinstance(value, str) or not (in_range(value) or never):
            raise ValueError(f'{path} has to be {words}, got {value!r}.')
    if key in CHOICES and isinstance(value, str) and value not in CHOICES[key]:
        raise ValueError(f'{path}={value!r} is unknown: use one of '
                         f"{', '.join(CHOICES[key])}.")
