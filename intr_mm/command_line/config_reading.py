"""Reads configs and ``--cfg-options``, and says where they are wrong."""
import ast
import os.path as osp
import traceback
from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from .config_check import KNOWN, check_config, nearest, require
from .data_folders import leaf_datasets

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
_FIELDS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def load_config(path: str, options: dict | None, *needs: str) -> Config:
    """Read a config file, merge ``--cfg-options``, and check what came of it.

    Args:
        path: See :func:`read_config`.
        options: See :func:`merge_options`.
        *needs: See :func:`check_config`.

    Raises:
        ValueError: One sentence that names what is wrong.
        FileNotFoundError: The file does not exist.
    """
    cfg = read_config(path, *needs)
    merge_options(cfg, options)
    check_config(cfg, *needs)
    return cfg


def read_config(path: str, *needs: str) -> Config:
    """Read a config file.

    Args:
        path: Of a file that ends in .py, .json, .yaml or .yml.
        *needs: Keys that it has to have.

    Raises:
        ValueError: One sentence that names the file, and the line where one
            is to blame.
        FileNotFoundError: It does not exist.
    """
    path = str(path)
    if osp.isdir(path):
        raise ValueError(f"Config '{path}' is a folder: name a file in it.")
    if not osp.exists(path):
        there = [*Path(path).parent.glob('*.py'), *CONFIGS.glob('*.py')]
        by_name = {file.name: _short(file) for file in there}
        near = nearest(Path(path).name, by_name, '')
        for name, file in by_name.items():
            near = near.replace(name, file)
        raise FileNotFoundError(
            f"Config '{path}' does not exist: check the path{near}")
    _check_bases(path)
    try:
        cfg = Config.fromfile(path)
        _check_imports(path)
    except Exception as error:
        raise ValueError(_describe(path, error)) from error
    require(cfg, *needs)
    return cfg


def _describe(path: str, error: Exception) -> str:
    """Which file is wrong, where, and why."""
    file, line, base = path, getattr(error, 'lineno', None), ''
    for frame, number in traceback.walk_tb(error.__traceback__):
        # mmengine reads a file, or asks what it imports
        name = frame.f_locals.get('filename')
        if (frame.f_globals.get('__name__') == 'mmengine.config.config'
                and isinstance(name, str)):
            file = name
        if frame.f_code is Config._get_cfg_path.__code__:
            base = f"_base_={frame.f_locals['cfg_path']!r}: "
        if frame.f_code.co_filename == osp.abspath(file):
            line = number
    place = f"Config '{_short(file)}'" + ('' if line is None else
                                          f', line {line}')
    if not osp.exists(file) or not osp.samefile(file, path):
        place += f", a _base_ of '{path}',"
    text = error.args[0] if error.args else ''
    if isinstance(error, OSError):
        text = error.strerror or text
    if isinstance(error, ImportError) and error.__cause__ is not None:
        text = error.__cause__  # without mmengine's list of sys.path
    why = f'{base}{type(error).__name__}: {text}'
    return f'{place} cannot be read: {why}; correct it there.'


def _check_bases(path: str, above: tuple[str, ...] = ()) -> None:
    """Refuse a config that is its own base, before Python's stack is full."""
    path = osp.realpath(path)
    if path in above:
        raise ValueError(f"Config '{_short(path)}' is its own _base_: take it "
                         'out there.')
    try:
        bases = Config._get_base_files(path)
    except Exception:  # which is told when it is read
        return
    for base in bases:
        if isinstance(base, str) and '::' not in base:
            _check_bases(osp.join(osp.dirname(path), base), (*above, path))


def _short(path: str) -> str:
    """A path as seen from here, if that is not longer."""
    return min(osp.abspath(path), osp.relpath(path), key=len)


def _check_imports(path: str) -> None:
    """Refuse imports of what is not installed, which mmengine puts off."""
    if not path.endswith('.py'):
        return
    for node in ast.walk(ast.parse(Path(path).read_bytes())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module]
        for name in names:
            if find_spec(name.split('.')[0]) is None:
                error = ImportError(f"there is no module '{name}'")
                error.lineno = node.lineno
                raise error


def merge_options(cfg: Config, options: dict | None) -> None:
    """Merge ``--cfg-options``, of which ``data_root`` reaches the datasets.

    Raises:
        ValueError: See :func:`move_data_root`.
    """
    if options is not None:
        move_data_root(cfg, options.get('data_root'))
        apply_options(cfg, options)


def move_data_root(cfg: Config, data_root: str | None) -> None:
    """Let ``--cfg-options data_root=...`` reach the datasets.

    A config is read before its options are merged, so its datasets hold the
    old ``data_root``, in copies of their own.

    Args:
        cfg: Full config, before the options are merged.
        data_root: The new folder; None leaves all as it is.

    Raises:
        ValueError: No dataset lies in the old ``data_root``.
    """
    if data_root is None:
        return
    old = cfg.get('data_root')
    datasets = [
        dataset for field in _FIELDS
        for dataset in leaf_datasets((cfg.get(field) or {}).get('dataset'))
        if old is not None and dataset.get('data_root') == old
    ]
    if not datasets:
        raise ValueError(
            f"data_root='{data_root}' reaches no dataset: none of "
            f"{cfg.filename} has the data_root '{old}' of the config; set "
            '`--cfg-options train_dataloader.dataset.data_root=...`, and so '
            'on for val_dataloader and test_dataloader.')
    for dataset in datasets:
        dataset.data_root = data_root
    cfg.data_root = data_root


def apply_options(cfg: Config, options: dict) -> None:
    """Merge ``--cfg-options`` into a config.

    Raises:
        ValueError: An option that nobody would read, or whose place is not
            there.
    """
    for key, value in options.items():
        _check_option(cfg, key, value)
        try:
            cfg.merge_from_dict({key: value})
        except Exception as error:
            text = error.args[0] if error.args else error
            raise ValueError(f'--cfg-options {key}={value!r} does not fit the '
                             f'config: {text}; check the key.') from error
    if 'custom_imports' in {key.split('.')[0] for key in options}:
        import_modules(cfg)


def _check_option(cfg: Config, key: str, value) -> None:
    first = key.split('.')[0]
    if first in KNOWN:
        return
    if first not in cfg:
        raise ValueError(f'--cfg-options {key}={value!r}: {first} is a key '
                         f'that nobody reads{nearest(first, KNOWN)}')
    raise ValueError(
        f"--cfg-options {key}={value!r}: '{first}' is a name for use within "
        f'{cfg.filename}, which is read already: set the keys that take it, '
        'such as model.head or train_dataloader.')


def import_modules(cfg: Config) -> None:
    """Import what ``custom_imports`` names."""
    try:
        import_modules_from_strings(**cfg.custom_imports)
    except (ImportError, TypeError) as error:
        raise ValueError(f'custom_imports={cfg.custom_imports} cannot be '
                         f'imported: {error}; correct the name, or set '
                         'PYTHONPATH to its folder.') from error
