import os
import os.path as osp
from collections.abc import Iterator

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.datasets import CUB, CustomDataset
from mmpretrain.registry import DATASETS


def check_data_folders(cfg: Config, *fields: str) -> None:
    """Check that the data folders of a config exist and are not empty.

    Datasets that download or draw their images are not looked at.

    Args:
        cfg: Full config.
        fields: Names of dataloaders, absent ones are skipped.

    Raises:
        FileNotFoundError: A folder is missing or empty.
    """
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmpretrain')):
        for field in fields:
            for dataset in leaf_datasets((cfg.get(field)
                                          or {}).get('dataset')):
                _check(dataset, field, cfg.get('data_root'))


def leaf_datasets(dataset: dict | list | None) -> Iterator[dict]:
    """Yield the innermost datasets of dataset wrappers.

    Args:
        dataset: Config of a dataset, of a wrapper of datasets, or several of
            them.

    Yields:
        Config of a dataset that is no wrapper.
    """
    if isinstance(dataset, (list, tuple)):
        for item in dataset:
            yield from leaf_datasets(item)
    elif isinstance(dataset, dict):
        inner = dataset.get('dataset') or dataset.get('datasets')
        if inner is None:
            yield dataset
        else:
            yield from leaf_datasets(inner)


def _check(dataset: dict, field: str, shared_root: str | None) -> None:
    dataset_type = dataset['type']
    if isinstance(dataset_type, str):
        dataset_type = DATASETS.get(dataset_type)
    root = dataset.get('data_root') or ''
    if dataset_type is None or '://' in root or not issubclass(
            dataset_type, (CustomDataset, CUB)):
        return
    prefix = dataset.get('data_prefix') or ''
    if isinstance(prefix, dict):
        prefix = prefix.get('img_path') or ''
    folder = osp.join(root, prefix)
    if not osp.isdir(folder):
        problem = 'does not exist'
    elif not os.listdir(folder):
        problem = 'is empty'
    else:
        return
    option = f'{field}.dataset.data_root=...'
    if root == shared_root:
        option = f'data_root=...` or `{option}'
    raise FileNotFoundError(
        f"Data folder '{osp.abspath(folder)}' of {field} {problem}: put the "
        f'images there or set `--cfg-options {option}`.')
