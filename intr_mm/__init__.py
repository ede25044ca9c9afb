"""INTR, the interpretable transformer, as a plugin of MMPretrain.

Importing it registers its parts in ``mmpretrain.registry``, and its models by
name in mmpretrain's hub; in a config,
``custom_imports = dict(imports=['intr_mm'])`` does that.
"""
from .compat import setup_compat
from .version import __version__

setup_compat()

from . import datasets, engine, evaluation, explainers, models  # noqa: E402
from .apis import register_models  # noqa: E402

register_models()

__all__ = ['__version__']
