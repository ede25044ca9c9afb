"""Where checkpoints come from: files, addresses, names of model zoos.

Importing this module replaces MMEngine's loaders of the whole process.
MMEngine unpickles files, and its onedl builds fall back to
``weights_only=False`` where the safe way fails, so a file from a stranger can
run any code. Set ``INTR_MM_SAFE_LOADERS=0`` in the environment to leave
MMEngine's loaders as they are, for files that you trust and that hold other
objects than tensors, plain data and what MMEngine itself saves.
"""
import difflib
import os
import os.path as osp

from mmengine.dist import barrier
from mmengine.fileio import get_file_backend
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint

from .download import cache_path, fetch
from .reading import load_weights


def load_from_local(filename: str, map_location=None) -> dict:
    """Load a checkpoint from a path, see :func:`load_weights`."""
    filename = osp.expanduser(filename)
    if osp.isfile(filename):
        return load_weights(filename, map_location)
    if osp.isdir(filename):
        raise IsADirectoryError(
            f"Checkpoint '{filename}' is a folder: name the file in it.")
    if osp.exists(filename):
        raise OSError(f"Checkpoint '{filename}' is no file: give one.")
    scheme = filename.partition('://')
    if scheme[1]:
        raise FileNotFoundError(
            f"Checkpoint '{filename}' cannot be fetched, as '{scheme[0]}://' "
            'is not known: give a path or an address with https://.')
    raise FileNotFoundError(
        f"Checkpoint '{filename}' does not exist: check the path.")


def load_from_http(filename: str, map_location=None) -> dict:
    """Load a checkpoint from a URL, see :func:`load_weights`.

    The first process of each machine downloads it into PyTorch's cache.

    Raises:
        RuntimeError: It cannot be fetched, or is not what it should be.
    """
    path = cache_path(filename)
    problem = None
    if os.environ.get('LOCAL_RANK', '0') == '0' and not osp.exists(path):
        try:
            fetch(filename, path)
        except (OSError, RuntimeError) as error:
            problem = error  # the other processes are waiting
    barrier()
    if problem is not None:
        raise problem
    if not osp.exists(path):
        raise RuntimeError(f"Checkpoint '{filename}' was not fetched by the "
                           'first process: see what it says.')
    return load_weights(path, map_location)


def load_from_torchvision(filename: str, map_location=None) -> dict:
    """Load weights of torchvision by ``torchvision://NAME``."""
    urls = mmengine_checkpoint.get_torchvision_models()
    return load_from_http(_look_up(filename, urls), map_location)


def load_from_openmmlab(filename: str, map_location=None) -> dict:
    """Load weights of OpenMMLab by ``open-mmlab://NAME``."""
    urls = mmengine_checkpoint.get_external_models()
    renamed = mmengine_checkpoint.get_deprecated_model_names()
    url = _look_up(filename, {
        **{
            old: urls[new]
            for old, new in renamed.items() if new in urls
        },
        **urls
    })
    if url.startswith(('http://', 'https://')):
        return load_from_http(url, map_location)
    home = mmengine_checkpoint._get_mmengine_home()
    return load_from_local(osp.join(home, url), map_location)


def load_from_mmcls(filename: str, map_location=None) -> dict:
    """Load the backbone of a model of mmcls 0.x by ``mmcls://NAME``."""
    urls = mmengine_checkpoint.get_mmcls_models()
    checkpoint = load_from_http(_look_up(filename, urls), map_location)
    return mmengine_checkpoint._process_mmcls_checkpoint(checkpoint)


def load_from_ceph(filename: str, map_location=None) -> dict:
    """Load a checkpoint from Petrel's storage."""
    backend = get_file_backend(filename, backend_args=dict(backend='petrel'))
    with backend.get_local_path(filename) as path:
        return load_weights(path, map_location, filename)


def refuse_pavi(filename: str, map_location=None) -> dict:
    """Refuse the storage of which nothing is known any more."""
    raise RuntimeError(f"Checkpoint '{filename}' is not fetched: download it "
                       'and give its path.')


def _look_up(filename: str, urls: dict[str, str]) -> str:
    """Address of a model of a zoo by its name."""
    name = filename.partition('://')[2]
    if name not in urls:
        close = difflib.get_close_matches(name, urls, n=3, cutoff=0)
        raise ValueError(f"Checkpoint '{filename}' is in no list: the closest "
                         f'names are {", ".join(close)}.')
    return urls[name]


LOADERS = {
    ('', ): load_from_local,
    ('http://', 'https://'): load_from_http,
    ('modelzoo://', 'torchvision://'): load_from_torchvision,
    ('open-mmlab://', 'openmmlab://'): load_from_openmmlab,
    ('mmcls://', ): load_from_mmcls,
    (r'(\S+\:)?s3://', r'(\S+\:)?petrel://'): load_from_ceph,
    ('pavi://', ): refuse_pavi,
}

if os.environ.get('INTR_MM_SAFE_LOADERS') != '0':
    for prefixes, loader in LOADERS.items():
        CheckpointLoader.register_scheme(prefixes, loader, force=True)
