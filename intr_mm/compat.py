"""What has to hold before the parts of ``intr_mm`` can be imported."""
import warnings
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec

# Lowest and highest version of each package that the tests run with.
# OpenMMLab's and the onedl-* distributions share these import names, hence
# modules are asked, not distributions.
TESTED_VERSIONS = dict(
    mmengine=('0.10.7', '0.10.12'),
    mmcv=('2.1.0', '2.3.6'),
    mmpretrain=('1.2.0', '1.3.6'),
    mmdet=('3.3.0', '3.5.1'))


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


def check_import() -> None:
    """Require that mmpretrain can be imported.

    Raises:
        ImportError: If it fails beside transformers 5, which mmpretrain's
            multimodal models do not know.
    """
    try:
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
    from .utils.mmcv_ext import stand_in_for_mmcv_ext
    stand_in_for_mmcv_ext()
    check_import()
    check_versions()
