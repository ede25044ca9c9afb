"""Stand-in for ``mmcv._ext`` where mmcv was installed without it.

MMDetection imports ``mmcv.ops`` when its layers are imported, and
``mmcv.ops`` imports the compiled extension ``mmcv._ext`` at once. The DETR
layers used here call none of these ops, mmcv-lite and mmcv built without a
compiler have no ``mmcv._ext``, and compiling it takes a quarter of an hour.
So, only where it is absent, :func:`stand_in_for_mmcv_ext` lets ``mmcv.ops``
be imported; an op that is really called says what to install.
"""
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import mmcv

EXT_NAME = 'mmcv._ext'


class _MissingExt(ModuleType):
    """A module in which every function exists and refuses to run."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(name)

        def missing_op(*args, **kwargs):
            raise ImportError(
                f'The mmcv op "{name}" was called, but the installed mmcv '
                f'{mmcv.__version__} has no compiled ops: uninstall it and '
                f'run `mim install mmcv=={mmcv.__version__}` (or, among the '
                f'onedl builds, `mim install onedl-mmcv=={mmcv.__version__}`).'
            )

        return missing_op

    # Asked for by `mmcv.utils.collect_env`, which is to work without ops.
    def get_compiler_version(self) -> str:
        return 'n/a'

    get_compiling_cuda_version = get_compiler_version


def stand_in_for_mmcv_ext() -> bool:
    """Make ``mmcv.ops`` importable where ``mmcv._ext`` is absent.

    The stand-in leaves ``sys.modules`` again after ``mmcv.ops`` has been
    imported, so that MMEngine and mmcv still find out by themselves that
    this mmcv has no compiled ops.

    Returns:
        Whether a stand-in was needed; False with a compiled mmcv.
    """
    if find_spec(EXT_NAME) is not None:
        return False
    sys.modules[EXT_NAME] = _MissingExt(EXT_NAME)
    try:
        import_module('mmcv.ops')
    finally:
        del sys.modules[EXT_NAME]
    return True
