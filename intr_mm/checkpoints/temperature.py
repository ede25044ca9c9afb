"""A fitted temperature lies beside its checkpoint."""
import logging
import math
import os.path as osp
from numbers import Real

import mmengine
from mmengine.logging import print_log

from .integrity import file_digest


def store_temperature(checkpoint: str, temperature: float, **facts) -> str:
    """Write a temperature beside a checkpoint.

    Args:
        checkpoint: Path of the checkpoint.
        temperature: What divides the logits.
        **facts: What else the file shall say, such as the split.

    Returns:
        Path of the file, that of the checkpoint and ``.temperature.json``.
    """
    path = f'{checkpoint}.temperature.json'
    mmengine.dump(
        dict(temperature=temperature, sha256=file_digest(checkpoint), **facts),
        path,
        indent=2)
    return path


def stored_temperature(checkpoint: str) -> float | None:
    """Read the temperature that lies beside a checkpoint, and log it.

    Args:
        checkpoint: Path or URL of the checkpoint.

    Returns:
        What divides the logits. None if there is none, or it was fitted to
        another content of the checkpoint's file.

    Raises:
        ValueError: The file holds something else.
    """
    path = f'{checkpoint}.temperature.json'
    if not osp.isfile(path) or not osp.isfile(checkpoint):
        return None
    try:
        content = mmengine.load(path)
        temperature, digest = content['temperature'], content['sha256']
    except (ValueError, KeyError, TypeError):
        temperature = digest = None
    if not isinstance(temperature, Real) or not 0 < temperature < math.inf:
        raise ValueError(f"'{path}' holds no temperature: remove it, or fit "
                         'it anew by tools/analysis_tools/fit_temperature.py.')
    if digest != file_digest(checkpoint):
        print_log(
            f"'{path}' was fitted to another content of '{checkpoint}' and is "
            'not used: fit it anew by tools/analysis_tools/'
            'fit_temperature.py.', 'current', logging.WARNING)
        return None
    print_log(
        f'Scores are those at temperature {temperature:.4g}, which '
        f"'{path}' holds.", 'current')
    return float(temperature)
