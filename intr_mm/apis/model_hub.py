from pathlib import Path

from mmpretrain.apis.model import ModelHub

PACKAGE = Path(__file__).resolve().parents[1]


def register_models() -> None:
    """Let mmpretrain find the models of this package by their names.

    ``mmpretrain.list_models``, ``get_model`` and the inferencers look up names
    in its hub. The index lies in the installed package, or beside it in a
    checkout that was not installed; without either nothing is registered.
    """
    if ModelHub.has('intr_demo'):
        return
    for root in (PACKAGE / '.mim', PACKAGE.parent):
        # Beside an installed package lie those of others.
        if (root / 'configs' / 'intr_demo.py').is_file():
            ModelHub.register_model_index(
                root / 'model-index.yml', config_prefix=root)
            return
