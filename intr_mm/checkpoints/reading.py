"""Read checkpoint files without running code that they bring along."""
import argparse
import pickle
from collections.abc import Callable
from importlib import import_module

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version
from mmengine.utils.dl_utils import TORCH_VERSION
from safetensors.torch import load_file

from .checks import check_content
from .integrity import verify_file


def _history_method(cls: type, name: str) -> Callable:
    """Stand in for ``getattr``, which a ``HistoryBuffer`` names when it is
    pickled with its statistics methods, and which is not safe in general."""
    if cls is not HistoryBuffer or name not in ('min', 'max', 'current',
                                                'mean'):
        raise pickle.UnpicklingError(f'getattr({cls}, {name!r}) is not safe')
    return getattr(cls, name)


def _safe_globals() -> dict[str, Callable]:
    """Name what else than tensors MMEngine's own checkpoints consist of."""
    core = 'numpy._core' if hasattr(np, '_core') else 'numpy.core'
    multiarray = import_module(f'{core}.multiarray')
    named = {
        'builtins.getattr': _history_method,
        'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
        'argparse.Namespace': argparse.Namespace,
        'numpy.ndarray': np.ndarray,
        'numpy.dtype': np.dtype,
    }
    # numpy 2 renamed the module, and files of both kinds exist
    for core in ('numpy.core', 'numpy._core'):
        named[f'{core}.multiarray._reconstruct'] = multiarray._reconstruct
        named[f'{core}.multiarray.scalar'] = multiarray.scalar
    return named


class _RestrictedUnpickler(pickle.Unpickler):
    """Unpickler for PyTorch before 2.6, whose ``weights_only`` cannot be told
    of further safe types."""

    _TORCH = {
        'collections.OrderedDict', '_codecs.encode', 'torch.Size',
        'torch.device', 'torch._utils._rebuild_tensor',
        'torch._utils._rebuild_tensor_v2', 'torch._utils._rebuild_parameter',
        'builtins.set', 'torch.nn.parameter.Parameter', 'torch.Tensor'
    }

    def find_class(self, module: str, name: str) -> Callable:
        module = 'builtins' if module == '__builtin__' else module
        full_name = f'{module}.{name}'
        if full_name in _safe_globals():
            return _safe_globals()[full_name]
        is_storage = module == 'torch' and name.endswith('Storage')
        if full_name in self._TORCH or is_storage:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'{full_name} is not safe')


class _RestrictedPickle:
    """What :func:`torch.load` needs of a ``pickle_module``."""

    Unpickler = _RestrictedUnpickler

    @staticmethod
    def load(file, **kwargs) -> object:
        return _RestrictedUnpickler(file, **kwargs).load()


def load_weights(filename: str,
                 map_location=None,
                 name: str | None = None) -> dict:
    """Load a checkpoint of tensors and plain data without running code.

    Args:
        filename: Path of the file.
        map_location: As of :func:`torch.load`.
        name: What messages call it, such as the URL it comes from. None is the
            path.

    Returns:
        What the file holds.

    Raises:
        RuntimeError: The file is no PyTorch file, is cut short or damaged,
            holds objects whose loading could run code, or no weights by name,
            or weights that are no finite numbers.
    """
    name = filename if name is None else name
    kind = verify_file(filename, name)
    checkpoint = _load(filename, map_location, kind, name)
    if not isinstance(checkpoint, dict):
        raise RuntimeError(
            f"Checkpoint '{name}' holds a {type(checkpoint).__name__} "
            'where weights by name are needed: give the file of a model.')
    try:
        check_content(checkpoint)
    except ValueError as error:
        raise RuntimeError(f"Checkpoint '{name}' cannot be used: {error}; "
                           'give one that was saved whole.') from None
    return checkpoint


def _load(filename: str, map_location, kind: str, name: str) -> object:
    try:
        if kind == 'safetensors':
            return load_file(filename, device=str(map_location or 'cpu'))
        if digit_version(TORCH_VERSION) >= digit_version('2.6.0'):
            named = [(obj, path) for path, obj in _safe_globals().items()]
            # numpy gives each dtype a class of its own since 1.25
            named += [type(np.dtype(kind)) for kind in '?bBhHiIlLqQefdSU']
            with torch.serialization.safe_globals(named):
                return torch.load(
                    filename, map_location=map_location, weights_only=True)
        return torch.load(
            filename,
            map_location=map_location,
            pickle_module=_RestrictedPickle)
    except pickle.UnpicklingError as error:
        # torch puts its advice before the finding, and the finding is last
        finding = str(error).split('WeightsUnpickler error: ')[-1]
        finding = finding.split('\n')[0].split('. Please use')[0]
        raise RuntimeError(
            f"Checkpoint '{name}' was not loaded because it is no "
            'PyTorch file or holds objects that could run code '
            f'({finding.strip()}): save its weights alone with '
            '`torch.save(state_dict, file)` where you trust it.') from None
    except Exception as error:  # whatever damage makes of a pickle
        reason = str(error).strip().split('\n')[0].rstrip('.')
        raise RuntimeError(
            f"Checkpoint '{name}' cannot be read "
            f'({reason or type(error).__name__}): it is incomplete or no file '
            'of PyTorch or safetensors, so fetch or write it again.') from None
