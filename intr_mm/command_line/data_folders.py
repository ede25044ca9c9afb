"""Looks at the data folders of a config before anything is built."""
import inspect
import logging
import os
import os.path as osp
from collections.abc import Iterator, Sequence

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmpretrain.datasets import CUB, CustomDataset
from mmpretrain.registry import DATASETS

from intr_mm.datasets import try_images
from intr_mm.datasets.cub_lists import check_lists
from intr_mm.datasets.image_file import EXTENSIONS
from intr_mm.datasets.image_folders import (FolderListing, ImageFolders,
                                            list_folder, listing_table,
                                            misnamed)
from intr_mm.progress import track


def check_data_folders(cfg: Config, *fields: str) -> None:
    """Check that the data folders of a config hold what training or a test
    needs, and print a table of what was found.

    Datasets that download or draw their images are not looked at.

    Args:
        cfg: Full config. A ``CustomDataset`` that would stumble over entries
            that are no files becomes an :class:`ImageFolders`.
        *fields: Names of dataloaders, absent ones are skipped.

    Raises:
        OSError: A folder is missing, empty, or cannot be read.
        ValueError: A class has no images, or an annotation file is damaged.
    """
    found = {}
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmpretrain')):
        for field in fields:
            dataset = (cfg.get(field) or {}).get('dataset')
            for path, leaf in _name_leaves(dataset, f'{field}.dataset'):
                listing = _check_folder(leaf, path, cfg.get('data_root'))
                if listing is not None:
                    found[f'{field} {len(found)}' if field in
                          found else field] = listing
    if found:
        print_log('Images found:\n' + listing_table(found), 'current')


def leaf_datasets(dataset: dict | list | None) -> Iterator[dict]:
    """Yield the innermost datasets of dataset wrappers.

    Args:
        dataset: Config of a dataset, of a wrapper of datasets, or several of
            them.

    Yields:
        Config of a dataset that is no wrapper.
    """
    for _, leaf in _name_leaves(dataset, ''):
        yield leaf


def _name_leaves(dataset: dict | list | None,
                 path: str) -> Iterator[tuple[str, dict]]:
    """Yield the innermost datasets with their place in the config, such as
    ``train_dataloader.dataset.datasets.0``."""
    if isinstance(dataset, (list, tuple)):
        for i, item in enumerate(dataset):
            yield from _name_leaves(item, f'{path}.{i}')
    elif isinstance(dataset, dict):
        key = 'dataset' if dataset.get('dataset') else 'datasets'
        if dataset.get(key) is None:
            yield path, dataset
        else:
            yield from _name_leaves(dataset[key], f'{path}.{key}')


def leave_out_unreadable(cfg: Config, field: str) -> list[str]:
    """Narrow the data of a dataloader to the images that can be read.

    Each is decoded once for it, in every process of a distributed test.

    Args:
        cfg: Full config, whose datasets get ``indices``.
        field: Name of the dataloader.

    Returns:
        Why each of the others cannot be read.

    Raises:
        ValueError: No image of a dataset can be read, or another than
            :class:`LoadIntactImage` would read them, or the number of images
            tells which are taken.
    """
    dataset, errors, total = cfg[field].dataset, [], 0
    if 'KFoldDataset' in str(dataset):
        raise ValueError(
            f'The KFoldDataset of {field} would have other folds without the '
            'images that cannot be read: take these out of its folder.')
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmpretrain')):
        for leaf in leaf_datasets(dataset):
            built = DATASETS.build(leaf)
            size = len(built)
            reasons = list(track(try_images(built), 'Reading', size))
            if not reasons and 'img_path' in built.get_data_info(0):
                raise ValueError(
                    f'Which images of {field} can be read is known of those '
                    'that LoadIntactImage reads: put it at the beginning of '
                    'the pipeline, in the place of LoadImageFromFile.')
            bad = [str(reason) for reason in reasons if reason is not None]
            if bad and len(bad) == size:
                raise ValueError(f'None of the {size} images of {field} can '
                                 f'be read. The first: {bad[0]}')
            if bad:
                keep_images(leaf, size,
                            [i for i in range(size) if reasons[i] is None])
            total += size
            errors += bad
    if errors:
        print_log(
            f'Of the {total} images of {field}, {len(errors)} cannot be read '
            'and count in no figure:\n- ' + '\n- '.join(errors), 'current',
            logging.WARNING)
    return errors


def keep_images(dataset: dict, size: int, places: Sequence[int]) -> None:
    """Narrow a dataset.

    Args:
        dataset: Its config, changed in place.
        size: Number of its images.
        places: Which of them to keep.
    """
    before = dataset.get('indices')
    if before is None:
        before = range(size)
    elif isinstance(before, int):  # the first, or the last
        before = range(size) if before >= 0 else range(-size, 0)
    dataset['indices'] = [before[place] for place in places]


def spread(size: int, number: int) -> list[int]:
    """Places of some of ``size`` images, evenly spread; all if they are no
    more than ``number``."""
    places = np.linspace(0, size - 1, min(number, size))
    return places.round().astype(int).tolist()


def _check_folder(dataset: dict, path: str,
                  shared_root: str | None) -> FolderListing | None:
    dataset_type = dataset['type']
    if isinstance(dataset_type, str):
        dataset_type = DATASETS.get(dataset_type)
    root = dataset.get('data_root') or ''
    if dataset_type is None or '://' in root or not issubclass(
            dataset_type, (CustomDataset, CUB)):
        return None
    prefix = dataset.get('data_prefix') or ''
    if isinstance(prefix, dict):
        prefix = prefix.get('img_path') or ''
    folder = osp.join(root, prefix)
    if not osp.isdir(folder):
        problem = 'does not exist'
    elif not os.listdir(folder):
        problem = 'is empty'
    elif issubclass(dataset_type, CUB):
        check_lists(root)
        return None
    elif (dataset.get('ann_file') or not dataset.get('with_label', True)
          or not (dataset_type is CustomDataset
                  or issubclass(dataset_type, ImageFolders))):
        return None
    else:
        return _check_class_folders(dataset, dataset_type, folder, path)
    option = f'{path}.data_root=...'
    if root == shared_root:
        option = f'data_root=...` or `{option}'
    raise FileNotFoundError(
        f"Data folder '{osp.abspath(folder)}' of {_field(path)} {problem}: "
        f'put the images there or set `--cfg-options {option}`.')


def _check_class_folders(dataset: dict, dataset_type: type, folder: str,
                         path: str) -> FolderListing:
    """Look for what would make wrong classes."""
    parameters = inspect.signature(dataset_type).parameters
    extensions = dataset.get('extensions') or (parameters['extensions'].default
                                               if 'extensions' in parameters
                                               else EXTENSIONS)
    listing = list_folder(folder, extensions)
    where = f"Data folder '{osp.abspath(folder)}' of {_field(path)}"
    if not listing.images:
        raise ValueError(
            f'{where} has no class folders, but {listing.loose} images: put '
            'those of each class into a folder of its own.')
    for name, paths in listing.images.items():
        if not paths:
            inside = list_folder(osp.join(folder, name), extensions)
            inside = ', '.join(inside.passed_over()) or 'nothing'
            raise ValueError(
                f"{where} holds no image of the class '{name}', but {inside}: "
                'put images there, or remove the class folder from all of the '
                'splits.')
    if not issubclass(dataset_type, ImageFolders):
        classes = [name for name in listing.ignored if os.sep not in name]
        if classes:
            raise ValueError(
                f"{where} holds '{classes[0]}', which {dataset_type.__name__} "
                'would take for a class: remove that folder, or set '
                f"`--cfg-options {path}.type=ImageFolders`.")
        # the data set knows where it takes its names from
        names = DATASETS.build(dict(dataset, pipeline=(), lazy_init=True))
        folder = misnamed(listing.images, names.CLASSES or ())
        if folder is not None:
            raise ValueError(
                f"{where} holds the class folder '{folder}', which "
                f'{dataset_type.__name__} would call '
                f"'{names.CLASSES[[*listing.images].index(folder)]}', as it "
                'numbers folders in alphabetical order and '
                'metainfo.classes names them in another: set '
                f"`--cfg-options {path}.type=ImageFolders`.")
        if listing.unreadable:
            # whose listing a link to itself does not stop
            dataset['type'] = 'ImageFolders'
    return listing


def _field(path: str) -> str:
    return path.partition('.')[0]
