"""What may be given to an inferencer as an image, and how it is read."""
import inspect
import os
import os.path as osp
from collections.abc import Callable, Sequence
from typing import Union

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.fileio import LocalBackend, get_file_backend
from mmpretrain.registry import DATASETS, TRANSFORMS

from intr_mm.command_line import leaf_datasets
from intr_mm.datasets import LoadIntactImage

# Those of mmpretrain's CustomDataset, and their usual relatives.
EXTENSIONS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff',
              '.webp')
ImageInput = Union[str, os.PathLike, np.ndarray, dict]


def list_images(inputs: ImageInput | Sequence[ImageInput]) -> list[ImageInput]:
    """Make a list of what an inferencer was given.

    Args:
        inputs: An image, a folder, or a list of images. Of a folder, the
            images that lie in it directly are taken, by their extensions and
            in the order of their names.

    Returns:
        The images.

    Raises:
        FileNotFoundError: If a path leads nowhere, or to a folder without
            images.
    """
    if not isinstance(inputs, (str, os.PathLike)):
        many = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        return [
            os.fspath(image) if isinstance(image, os.PathLike) else image
            for image in many
        ]
    path = os.fspath(inputs)
    backend = get_file_backend(path)
    if hasattr(backend, 'isdir') and backend.isdir(path):
        names = [
            name for name in backend.list_dir_or_file(path, list_dir=False)
            if name.lower().endswith(EXTENSIONS)
        ]
        if not names:
            raise FileNotFoundError(
                f"Folder '{path}' holds no image: put files there that end in "
                f'{", ".join(EXTENSIONS)}.')
        return [backend.join_path(path, name) for name in sorted(names)]
    if isinstance(backend, LocalBackend) and not osp.exists(path):
        raise FileNotFoundError(
            f"'{path}' is neither an image nor a folder: correct the path.")
    return [path]


def read_image(image: ImageInput, loader: Callable) -> dict:
    """Start of a pipeline's results.

    Args:
        image: A path; a uint8 array in BGR, (H, W, 3), or (H, W) if it is
            grey; or a data set's dict with ``img`` or ``img_path``.
        loader: Transform that loads ``img_path``.

    Returns:
        With ``img``, ``img_shape`` and ``ori_shape`` at least.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If an array is no image.
    """
    if isinstance(image, dict):
        results = dict(image)
    elif isinstance(image, np.ndarray):
        if image.ndim == 2:
            image = np.stack([image] * 3, axis=-1)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(
                'An image given as an array has to be uint8 of shape (H, W, '
                f'3) in BGR, or (H, W), but this one is {image.dtype} of '
                f'shape {image.shape}.')
        results = dict(img=image)
    else:
        results = dict(img_path=image)
    if 'img' not in results:
        return loader(results)
    shape = results['img'].shape[:2]
    return dict(results, img_shape=shape, ori_shape=shape)


def build_pipeline(cfg: Config,
                   img_size: int | None) -> tuple[Callable, Compose]:
    """The test pipeline of a config, split behind the loading.

    Args:
        cfg: Full config with a ``test_dataloader``.
        img_size: Pixels of the shorter edge to which images are resized first.
            None takes the ``img_size`` of data sets that draw images of one
            size and have no pipeline to resize them; other images go into the
            pipeline as they are.

    Returns:
        What loads a file, and what follows.
    """
    dataset = next(leaf_datasets(cfg.test_dataloader.dataset))
    loader, transforms = LoadIntactImage(), []
    for transform in dataset.get('pipeline', []):
        transform = TRANSFORMS.build(transform)
        if isinstance(transform, LoadImageFromFile):
            loader = transform
        else:
            transforms.append(transform)
    if img_size is None:
        img_size = _drawn_size(dataset)
    if img_size is not None:
        # Pillow's filter grows with the reduction, where OpenCV's aliases.
        transforms.insert(
            0,
            TRANSFORMS.build(
                dict(type='ResizeEdge', scale=img_size, backend='pillow')))
    return loader, Compose(transforms)


def _drawn_size(dataset: dict) -> int | None:
    """``img_size`` of a data set's config, or the default of its class."""
    if 'img_size' in dataset:
        return dataset['img_size']
    cls = dataset['type']
    cls = DATASETS.get(cls) if isinstance(cls, str) else cls
    parameter = inspect.signature(cls).parameters.get('img_size')
    return None if parameter is None else parameter.default
