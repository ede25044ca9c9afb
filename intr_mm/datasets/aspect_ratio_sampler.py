import logging
from collections.abc import Iterator, Sized
from functools import cached_property

from mmengine.dataset import DefaultSampler
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.fileio import get_local_path
from mmengine.logging import print_log
from mmpretrain.registry import DATA_SAMPLERS
from PIL import Image

from .image_modes import upright_shape


@DATA_SAMPLERS.register_module()
class AspectRatioSampler(DefaultSampler):
    """Evaluate images of like shape together, so that batches need little
    padding.

    Images follow each other by height / width, those of one ratio by height,
    and those of one size in the order of the dataset. The sizes are found by
    :func:`image_size` when the first batch is drawn; images of unknown size
    come last. This pays where a pipeline resizes images and keeps their
    ratio.

    The n-th image in this order is evaluated by process n modulo the number
    of processes, as with ``DefaultSampler``, so that the batches of all
    processes have like shapes at any time. Where images do not suffice for
    all, the last one is repeated, and MMEngine drops the repeats from what it
    collects: each image counts once.

    Results come in this order too; :class:`OrderedDumpResults` restores that
    of the dataset. Scores depend on how an image is padded, so they are not
    those of batches in another order.

    Args:
        dataset: The dataset, with ``get_data_info``.
        shuffle: Has to be False, there is no random order.
        seed: Without effect.
        round_up: Whether to give each process as many images, by repeats.

    Raises:
        ValueError: If ``shuffle`` is set.
        TypeError: If the dataset has no ``get_data_info``.
    """

    def __init__(self,
                 dataset: Sized,
                 shuffle: bool = False,
                 seed: int | None = None,
                 round_up: bool = True) -> None:
        if shuffle:
            raise ValueError(
                'AspectRatioSampler is for evaluation and does not shuffle: '
                'set shuffle=False, or use DefaultSampler to train.')
        if not hasattr(dataset, 'get_data_info'):
            raise TypeError(
                'AspectRatioSampler asks get_data_info for the shapes of '
                f'images, which {type(dataset).__name__} does not have: use '
                'DefaultSampler.')
        super().__init__(dataset, shuffle, seed, round_up)

    @cached_property
    def order(self) -> list[int]:
        """All indices of the dataset, by aspect ratio."""
        # One process decides for all: should files differ between machines,
        # images would be lost, and others counted twice.
        order = [self._sort() if is_main_process() else None]
        broadcast_object_list(order)
        return order[0]

    def _sort(self) -> list[int]:
        keys = [
            _sort_key(size)
            for size in image_sizes(self.dataset, 'come last in the test')
        ]
        return sorted(range(len(keys)), key=keys.__getitem__)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the indices of this process."""
        last = len(self.order) - 1
        for place in range(self.rank, self.total_size, self.world_size):
            yield self.order[min(place, last)]


def _sort_key(size: tuple[int, int] | None) -> tuple[float, int]:
    if size is None:
        return float('inf'), 0
    height, width = size
    return height / width, height


def image_sizes(dataset: Sized, without: str) -> list[tuple[int, int] | None]:
    """Find the sizes of all images of a dataset, see :func:`image_size`.

    Args:
        dataset: The dataset, with ``get_data_info``.
        without: What those of unknown size do, for the warning in the log.
    """
    sizes, unknown = [], []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        sizes.append(image_size(info))
        if sizes[-1] is None:
            unknown.append(info.get('img_path', f'sample {index}'))
    if unknown:
        print_log(
            f'There is no size for {len(unknown)} of {len(sizes)} images, '
            f"such as '{unknown[0]}': they {without}.",
            logger='current',
            level=logging.WARNING)
    return sizes


def image_size(data_info: dict) -> tuple[int, int] | None:
    """Find the size of an image without decoding it.

    It is taken from ``height`` and ``width``, else from ``img_shape``, else
    from the header of the file ``img_path``. Photos are turned upright by
    their EXIF orientation, as when they are loaded.

    Args:
        data_info: What ``get_data_info`` of a dataset gives.

    Returns:
        Height and width in pixels; None where none of the three is known, or
        the header cannot be read.
    """
    if data_info.get('height') and data_info.get('width'):
        return data_info['height'], data_info['width']
    if 'img_shape' in data_info:
        return tuple(data_info['img_shape'][:2])
    try:
        with get_local_path(data_info['img_path']) as path, \
                Image.open(path) as image:
            return upright_shape(image)
    except Exception:
        # Pillow raises all sorts. What is wrong with the file is for the
        # pipeline to say, which knows whether it may be skipped.
        return None
