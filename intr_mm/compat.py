"""What has to hold before the parts of ``intr_mm`` can be imported."""
import io
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType

# Lowest and highest version of each package that the tests run with.
# OpenMMLab's and the onedl-* distributions share these import names, hence
# modules are asked, not distributions.
TESTED_VERSIONS = dict(
    mmengine=('0.10.7', '0.10.12'),
    mmcv=('2.1.0', '2.3.6'),
    mmpretrain=('1.2.0', '1.3.6'),
    mmdet=('3.3.0', '3.5.1'))
EXT_NAME = 'mmcv._ext'


def check_packages() -> None:
    """Require that all mm packages can be found.

    Raises:
        ImportError: If one is missing; names it and both ways to install.
    """
    missing = [name for name in TESTED_VERSIONS if find_spec(name) is None]
    if missing:
        raise ImportError(
            f'intr_mm needs {", ".join(TESTED_VERSIONS)}, but '
            f'{", ".join(missing)} cannot be imported: install either `pip '
            'install -r requirements/onedl.txt` (the maintained onedl-* '
            'builds) or `pip install -r requirements/mminstall.txt` '
            "(OpenMMLab's last releases), never both.")


class _MissingExt(ModuleType):
    """A module in which every function exists and refuses to run."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(name)

        def missing_op(*args, **kwargs):
            from mmcv import __version__
            raise ImportError(
                f'The mmcv op "{name}" was called, but the installed mmcv '
                f'{__version__} has no compiled ops: uninstall it and run '
                f'`mim install mmcv=={__version__}` (or, among the onedl '
                f'builds, `mim install onedl-mmcv=={__version__}`).')

        return missing_op

    # Asked for by `mmcv.utils.collect_env`, which is to work without ops.
    def get_compiler_version(self) -> str:
        return 'n/a'

    get_compiling_cuda_version = get_compiler_version


def stand_in_for_mmcv_ext() -> bool:
    """Make ``mmcv.ops`` importable where ``mmcv._ext`` is absent.

    MMDetection imports ``mmcv.ops`` when its layers are imported, and
    ``mmcv.ops`` imports the compiled extension ``mmcv._ext`` at once. The
    DETR layers used here call none of these ops, mmcv-lite and mmcv built
    without a compiler have no such extension, and compiling it takes a
    quarter of an hour. An op that is really called says what to install.

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


def check_import() -> None:
    """Require that mmpretrain can be imported.

    Raises:
        ImportError: If it fails beside transformers 5, which mmpretrain's
            multimodal models do not know.
    """
    try:
        # the builds for OneDL print that it is absent
        with redirect_stdout(io.StringIO()):
            import_module('mmpretrain.models')
    except Exception as error:
        from mmengine.utils import digit_version
        if find_spec('transformers') is None or digit_version(
                version('transformers')) < digit_version('5'):
            raise
        raise ImportError(
            'mmpretrain cannot be imported beside transformers '
            f"{version('transformers')}: run `pip install 'transformers<5'`."
        ) from error


def check_versions() -> None:
    """Warn of each mm package whose version lies outside the tested range."""
    from mmengine.utils import digit_version
    for name, (low, high) in TESTED_VERSIONS.items():
        version = import_module(name).__version__
        if not (digit_version(low) <= digit_version(version) <=
                digit_version(high)):
            warnings.warn(f'intr_mm is tested with {name} {low} to {high}, '
                          f'but {name} {version} is installed.')


def setup_compat() -> None:
    """Check the environment and prepare it for importing ``mmdet``.

    Called once, before any other part of ``intr_mm`` is imported.

    Raises:
        ImportError: If an mm package is missing or cannot be imported.
    """
    check_packages()
    stand_in_for_mmcv_ext()
    check_import()
    check_versions()
