"""What may be given to an inferencer as an image, how it is read, and which
part of it the pipeline shows to the network."""
import inspect
import os
import os.path as osp
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Union

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.fileio import LocalBackend, get_file_backend
from mmpretrain.registry import DATASETS, TRANSFORMS
from PIL import Image

from intr_mm.command_line.data_folders import leaf_datasets
from intr_mm.datasets import LoadIntactImage
from intr_mm.datasets.image_file import (EXTENSIONS, UnreadableImageError,
                                         check_size)
from intr_mm.datasets.image_folders import some
from intr_mm.datasets.image_modes import show, show_array

ImageInput = Union[str, os.PathLike, np.ndarray, Image.Image, dict]
# Pipelines enlarge the shorter edge, which makes a line of pixels immense.
MAX_ASPECT = 20
# Resampling rounds to grey levels and blurs edges.
_TOLERANCE = 4
# what tools put behind names
_SUFFIXED = re.compile(r'_(layer\d+|memory)$')


def list_images(inputs: ImageInput | Sequence[ImageInput]) -> list[ImageInput]:
    """Make a list of what an inferencer was given.

    Args:
        inputs: An image, a folder, or a list of images. Of a folder, the
            images that lie in it directly are taken, by their extensions and
            in the order of their names.

    Returns:
        The images.

    Raises:
        TypeError: If something is no image.
        FileNotFoundError: If a path leads nowhere, or to a folder without
            images.
    """
    if not isinstance(inputs, (str, os.PathLike)):
        many = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        return [_check_type(image) for image in many]
    path = _check_type(inputs)
    if is_folder(path):
        backend = get_file_backend(path)
        if isinstance(backend, LocalBackend):
            # Also what cannot be read, which mmengine passes over.
            names = [
                name for name in os.listdir(path) if not name.startswith('.')
                and not osp.isdir(osp.join(path, name))
            ]
        else:
            names = backend.list_dir_or_file(path, list_dir=False)
        names = sorted(n for n in names if n.lower().endswith(EXTENSIONS))
        if not names:
            raise FileNotFoundError(
                f"Folder '{path}' holds no image: put files there that end in "
                f'{", ".join(EXTENSIONS)}.')
        return [backend.join_path(path, name) for name in names]
    if '://' not in path and not osp.lexists(path):
        raise FileNotFoundError(
            f"'{path}' is neither an image nor a folder: correct the path.")
    return [path]


def is_folder(inputs) -> bool:
    """Whether an inferencer was given a folder."""
    if not isinstance(inputs, (str, os.PathLike)):
        return False
    path = os.fspath(inputs)
    if '://' not in path:
        return osp.isdir(path)
    try:
        backend = get_file_backend(path)
    except KeyError:  # reading says so, too
        return False
    return hasattr(backend, 'isdir') and backend.isdir(path)


def _check_type(image) -> ImageInput:
    if isinstance(image, os.PathLike):
        image = os.fspath(image)
    if isinstance(image, (str, np.ndarray, Image.Image, dict)):
        return image
    raise TypeError(
        f'An image cannot be given as {type(image).__name__}: give a path or '
        'URL, an array, a PIL image, or a list of these.')


def read_image(image: ImageInput, loader: Callable | None = None) -> dict:
    """Start of a pipeline's results.

    Args:
        image: A path; an array, see
            :func:`intr_mm.datasets.image_modes.show_array`; a PIL image; or a
            data set's dict with ``img`` or ``img_path``.
        loader: Transform that loads ``img_path``. By default
            :class:`LoadIntactImage`.

    Returns:
        With ``img`` (BGR), ``img_shape`` and ``ori_shape`` at least.

    Raises:
        UnreadableImageError: If the file cannot be read.
        ValueError: If an array or a PIL image is no picture.
    """
    try:
        if isinstance(image, np.ndarray):
            image = dict(img=show_array(image))
        elif isinstance(image, Image.Image):
            check_size(image)
            image = dict(img=show(image))
    except (ImportError, MemoryError):
        raise
    # Pillow, which may read the file of an image only now, raises all sorts.
    except Exception as error:
        raise ValueError(
            f'An image given as {type(image).__name__} cannot be used: '
            f'{error}.') from error
    results = dict(image) if isinstance(image, dict) else dict(img_path=image)
    if not {'img', 'img_path'} & set(results):
        raise ValueError("An image given as dict has 'img' or 'img_path', but "
                         f'this one has {some(sorted(map(str, results)))}.')
    if 'img' not in results:
        results = _load(results, loader or LoadIntactImage())
    shape = results['img'].shape[:2]
    if max(shape) > MAX_ASPECT * min(shape):
        name = results.get('img_path')
        raise UnreadableImageError(
            f"Image{f' {name!r}' if name else ''} has {shape[1]} x {shape[0]} "
            f'pixels: give one at most {MAX_ASPECT} times as long as it is '
            'wide.')
    return dict(dict(img_shape=shape, ori_shape=shape), **results)


def _load(results: dict, loader: Callable) -> dict:
    """Call whatever loader a config has."""
    path, reason = results['img_path'], 'the log says why'
    try:
        loaded = loader(results)
    except (UnreadableImageError, ImportError, MemoryError):
        raise
    except Exception as error:  # of mmcv and its backends
        loaded, reason = None, error
    if loaded is None:
        raise UnreadableImageError(f"Image '{path}' cannot be read ({reason})"
                                   ': replace the file, or take it out.')
    return loaded


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

    Raises:
        ValueError: If there are several pipelines.
    """
    dataset, *others = leaf_datasets(cfg.test_dataloader.dataset)
    if any(
            other.get('pipeline') != dataset.get('pipeline')
            for other in others):
        raise ValueError(
            'test_dataloader.dataset has data sets of several pipelines, so '
            'it is not clear how other images are to be prepared: give them '
            'one pipeline.')
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


def describe_dataset(cfg: Config) -> dict:
    """What :func:`build_pipeline` reads of a config, in plain data."""
    dataset = next(leaf_datasets(cfg.test_dataloader.dataset))
    pipeline = [dict(transform) for transform in dataset.get('pipeline', [])]
    return dict(pipeline=pipeline, img_size=_drawn_size(dataset))


def _drawn_size(dataset: dict) -> int | None:
    """``img_size`` of a data set's config, or the default of its class."""
    if 'img_size' in dataset:
        return dataset['img_size']
    cls = dataset['type']
    cls = DATASETS.get(cls) if isinstance(cls, str) else cls
    parameter = inspect.signature(cls).parameters.get('img_size')
    return None if parameter is None else parameter.default


def visible_region(pipeline: Callable,
                   shape: tuple[int, int]) -> tuple[slice, slice]:
    """The part of an image that a pipeline shows to the network.

    A picture whose grey levels tell their place is sent through the pipeline,
    so any resizing and cropping is understood.

    Args:
        pipeline: Takes ``dict(img=...)`` and packs it, as that of a data set
            after loading; the same for every image of a size.
        shape: Height and width of the image in pixels.

    Returns:
        Rows and columns of the image, to half a pixel of what the network
        sees.

    Raises:
        ValueError: If the pipeline does more than resize and crop.
    """
    rows, columns = (
        np.linspace(0, 255, size).round().astype(np.uint8) for size in shape)
    probe = np.empty((*shape, 3), np.uint8)
    # Alike in BGR and RGB.
    probe[..., ::2] = columns[None, :, None]
    probe[..., 1] = rows[:, None]
    view = pipeline(dict(img=probe, img_shape=shape, ori_shape=shape))
    view = view['inputs'].double().numpy()
    return tuple(
        _fit(levels, size)
        for levels, size in zip((view[1], view[0].T), shape))


def _fit(levels: np.ndarray, size: int) -> slice:
    """Pixels of an axis of the image on which the rows of a view lie."""
    if size == 1:
        return slice(0, 1)
    cells = np.arange(len(levels))
    inner = slice(len(levels) // 16, len(levels) - len(levels) // 16)
    slope, start = np.polyfit(cells[inner], levels.mean(1)[inner], 1)
    expected = (slope * cells + start)[:, None]
    # Enlarged images are flat up to half a pixel from their edge.
    tolerance = max(_TOLERANCE, .5 * 255 / (size - 1))
    if slope < 0 or np.abs(levels - expected)[inner].max() > tolerance:
        raise ValueError(
            'Maps cannot be placed on the image, as the pipeline of '
            'test_dataloader does more than resize and crop it: take the '
            'other transforms out of it, or ask for maps on cells only.')
    per_level = (size - 1) / 255
    first = (start - slope / 2) * per_level + .5
    last = (start + slope * (len(levels) - .5)) * per_level + .5
    first, last = (int(round(edge)) for edge in (first, last))
    return slice(max(first, 0), min(last, size))


def unique_stems(paths: Sequence[str]) -> list[str]:
    """Names for what is written of images, no two alike.

    Args:
        paths: Paths or names of the images; '' stands for an image without.

    Returns:
        Stem of each path; behind those that several share, and for those
        without, the place in the list.
    """
    # An ending is added, and file systems take 255 bytes.
    stems = [
        os.fsencode(Path(path).stem)[:200].decode(errors='ignore')
        for path in paths
    ]
    taken = Counter(stem.casefold() for stem in stems)
    names = []
    for i, stem in enumerate(stems):
        name = stem or str(i)
        if taken[stem.casefold()] > 1 or _SUFFIXED.search(name):
            name = f'{name}_{i}'
            while taken[name.casefold()]:
                name += '_'
        taken[name.casefold()] += name != stem
        names.append(name)
    return names
