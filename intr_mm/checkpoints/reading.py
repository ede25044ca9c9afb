"""Read checkpoint files without running code that they bring along.

Importing this module replaces MMEngine's loaders for local files and URLs, of
the whole process. MMEngine unpickles them, and its onedl builds fall back to
``weights_only=False`` where the safe way fails, so a file from a stranger can
run any code. Set ``INTR_MM_SAFE_LOADERS=0`` in the environment to leave
MMEngine's loaders as they are, for files that you trust and that hold other
objects than tensors, plain data and what MMEngine itself saves.
"""
import argparse
import os
import os.path as osp
import pickle
import re
from collections.abc import Callable
from importlib import import_module
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.dist import barrier
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from mmengine.utils import digit_version, mkdir_or_exist
from mmengine.utils.dl_utils import TORCH_VERSION
from safetensors import SafetensorError
from safetensors.torch import load_file


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


def load_weights(filename: str, map_location=None) -> dict:
    """Load a checkpoint of tensors and plain data without running code.

    Args:
        filename: Path of the file.
        map_location: As of :func:`torch.load`.

    Returns:
        What the file holds.

    Raises:
        RuntimeError: The file is no PyTorch file, is cut short, holds
            objects whose loading could run code, or no weights by name.
    """
    checkpoint = _load(filename, map_location)
    if not isinstance(checkpoint, dict):
        raise RuntimeError(
            f"Checkpoint '{filename}' holds a {type(checkpoint).__name__} "
            'where weights by name are needed: give the file of a model.')
    return checkpoint


def _is_safetensors(filename: str) -> bool:
    """Whether a file begins with the size of a header and the header."""
    with open(filename, 'rb') as f:
        return f.read(9)[8:] == b'{'


def _load(filename: str, map_location) -> object:
    try:
        if _is_safetensors(filename):
            return load_file(filename, device=str(map_location or 'cpu'))
        if digit_version(TORCH_VERSION) >= digit_version('2.6.0'):
            named = [(obj, name) for name, obj in _safe_globals().items()]
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
            f"Checkpoint '{filename}' was not loaded because it is no "
            'PyTorch file or holds objects that could run code '
            f'({finding.strip()}): save its weights alone with '
            '`torch.save(state_dict, file)` where you trust it.') from None
    except (RuntimeError, EOFError, ValueError, KeyError,
            SafetensorError) as error:
        reason = str(error).strip().split('\n')[0].rstrip('.')
        raise RuntimeError(
            f"Checkpoint '{filename}' cannot be read ({reason}): it is "
            'incomplete or no file of PyTorch or safetensors, so fetch or '
            'write it again.') from None


def load_from_local(filename: str, map_location=None) -> dict:
    """Load a checkpoint from a path, see :func:`load_weights`."""
    filename = osp.expanduser(filename)
    if not osp.isfile(filename):
        raise FileNotFoundError(
            f"Checkpoint '{filename}' does not exist: check the path.")
    return load_weights(filename, map_location)


def load_from_http(filename: str, map_location=None) -> dict:
    """Load a checkpoint from a URL, see :func:`load_weights`.

    The first process of each machine downloads it into PyTorch's cache.

    Raises:
        RuntimeError: It cannot be fetched.
    """
    path = _cached(filename)
    problem = ''
    if os.environ.get('LOCAL_RANK', '0') == '0' and not osp.exists(path):
        mkdir_or_exist(osp.dirname(path))
        try:
            torch.hub.download_url_to_file(filename, path)
        except OSError as error:
            problem = f' ({error})'
    barrier()
    if not osp.exists(path):
        raise RuntimeError(
            f"Checkpoint '{filename}' cannot be fetched{problem}: check the "
            f"address and the network, or put the file at '{path}'.")
    return load_weights(path, map_location)


def _cached(url: str) -> str:
    """Where PyTorch keeps a URL: by its name if that holds a hash, else by
    the whole address, as on sites where all files are 'model.safetensors'."""
    parts = urlparse(url)
    name = osp.basename(parts.path)
    if not re.search(r'-[0-9a-f]{8,}\.', name):
        path = osp.normpath(parts.path).lstrip('/')
        name = osp.join(parts.netloc.replace(':', '_'), path)
    return osp.join(torch.hub.get_dir(), 'checkpoints', name)


if os.environ.get('INTR_MM_SAFE_LOADERS') != '0':
    for prefixes, loader in (('', load_from_local), (('http://', 'https://'),
                                                     load_from_http)):
        CheckpointLoader.register_scheme(prefixes, loader, force=True)
