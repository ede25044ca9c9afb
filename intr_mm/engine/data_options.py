"""What the command line may leave to the data: where they are, how many
classes they have."""

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS

from .data_folders import leaf_datasets

_FIELDS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def merge_options(cfg: Config, options: dict | None) -> None:
    """Merge ``--cfg-options``, of which ``data_root`` reaches the datasets.

    Args:
        cfg: Full config.
        options: What the command line gave.

    Raises:
        ValueError: See :func:`move_data_root`.
    """
    if options is not None:
        move_data_root(cfg, options.get('data_root'))
        cfg.merge_from_dict(options)


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


def fill_num_classes(cfg: Config, field: str) -> None:
    """Give a head with ``num_classes=None`` the classes of the data.

    The dataset itself is asked, so any type will do. ``num_classes`` of the
    data preprocessor follows where the config has it.

    Args:
        cfg: Full config, changed in place.
        field: Dataloader whose dataset is asked.

    Raises:
        ValueError: The dataset does not name its classes.
    """
    # test-time augmentation wraps the model
    model = cfg.model.get('module', cfg.model)
    head = model.get('head') or {}
    if head.get('num_classes', 0) is not None:
        return
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmpretrain')):
        dataset = DATASETS.build(cfg[field].dataset)
    classes = dataset.metainfo.get('classes')
    if classes is None:
        raise ValueError(
            f'{type(dataset).__name__} of {field} does not name its classes, '
            'so model.head.num_classes=None cannot be filled in: set '
            '`--cfg-options model.head.num_classes=N`.')
    head.num_classes = len(classes)
    for preprocessor in (cfg.get('data_preprocessor'),
                         model.get('data_preprocessor')):
        if preprocessor and 'num_classes' in preprocessor:
            preprocessor.num_classes = len(classes)
    print_log(
        f'model.head.num_classes is set to {len(classes)}, the classes of '
        f'{field}.',
        logger='current')
