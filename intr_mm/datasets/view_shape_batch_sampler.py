from collections.abc import Iterator
from functools import cached_property

import numpy as np
from mmengine.dataset import DefaultSampler
from mmengine.dist import broadcast_object_list, is_main_process
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler

from .aspect_ratio_sampler import image_sizes

# Images that are sorted at a time; more need less padding still, but the first
# batch waits for all of them, about half a second.
_MAX_SORTED = 8192


@DATA_SAMPLERS.register_module()
class ViewShapeBatchSampler(BatchSampler):
    """Train on batches of views of like shape, which need little padding.

    Random views of images differ in shape more than the images do. Here the
    views of an epoch are drawn first, each by itself and as ever, and those of
    like shape share a batch; so each view has the distribution that it has
    without this sampler. What shares a batch is random as far as the shapes
    are, which are drawn anew in each epoch. The order of the batches is
    random, each image comes once, and images that do not fill a batch are
    drawn among all.

    All processes have batches of like shape at any time.

    A transform of the dataset's pipeline has to tell the shapes, by
    ``set_epoch(seed, epoch)`` and ``view_shape(index, image_shape)``, as
    :class:`DETRAugment` does. Where others change the shape too, batches need
    more padding, and nothing else is lost.

    Args:
        sampler: A ``DefaultSampler`` that shuffles. Its dataset, seed and
            epoch are those of the batches.
        batch_size: Images of a batch in each process.
        drop_last: Whether to leave out images that do not fill a batch.

    Raises:
        TypeError: If the sampler is another, or the dataset has no such
            transform.
        ValueError: If the sampler does not shuffle, or not round up.
    """

    def __init__(self,
                 sampler: DefaultSampler,
                 batch_size: int,
                 drop_last: bool = False) -> None:
        super().__init__(sampler, batch_size, drop_last)
        if type(sampler) is not DefaultSampler:
            raise TypeError(
                'ViewShapeBatchSampler needs a DefaultSampler, not '
                f'{type(sampler).__name__}: change the sampler, or set '
                'train_dataloader.batch_sampler=None.')
        if not (sampler.shuffle and sampler.round_up):
            raise ValueError(
                'ViewShapeBatchSampler is for training, with as many random '
                'batches in each process: set shuffle and round_up of the '
                'sampler to True, or use AspectRatioSampler to test.')
        pipeline = getattr(sampler.dataset, 'pipeline', None)
        self.view = next((step for step in getattr(pipeline, 'transforms', ())
                          if hasattr(step, 'view_shape')), None)
        if self.view is None or not hasattr(sampler.dataset, 'get_data_info'):
            raise TypeError(
                'ViewShapeBatchSampler finds no transform that foretells the '
                'shapes of its views, such as DETRAugment, in the pipeline of '
                f'{type(sampler.dataset).__name__}: set '
                'train_dataloader.batch_sampler=None.')
        # before any worker starts
        self.view.set_epoch(sampler.seed, sampler.epoch)

    @cached_property
    def image_shapes(self) -> list[tuple[int, int]]:
        """Height and width of each image in pixels."""
        # One process decides for all: should files differ between machines,
        # images would be lost, and others counted twice.
        shapes = [None]
        if is_main_process():
            sizes = image_sizes(self.sampler.dataset, 'count as square')
            shapes = [[size or (1, 1) for size in sizes]]
        broadcast_object_list(shapes)
        return shapes[0]

    def __iter__(self) -> Iterator[list[int]]:
        """Iterate over the batches of this process."""
        seed, epoch = self.sampler.seed, self.sampler.epoch
        rank, world_size = self.sampler.rank, self.sampler.world_size
        self.view.set_epoch(seed, epoch)
        rng = np.random.default_rng((seed, epoch))
        order = rng.permutation(len(self.image_shapes))
        # As DefaultSampler, which makes the processes' shares even.
        order = np.resize(order, self.sampler.total_size)
        step = self.batch_size * world_size
        full = len(order) // step * step
        most = max(1, _MAX_SORTED // step) * step
        for start in range(0, full, most):
            pool = order[start:min(start + most, full)]
            points = np.log([
                self.view.view_shape(index, self.image_shapes[index])
                for index in pool.tolist()
            ])
            steps = _split(points, np.arange(len(pool)), step)
            for place in rng.permutation(len(steps)):
                batches = _split(points, steps[place], self.batch_size)
                yield pool[batches[rank]].tolist()
        rest = order[full + rank::world_size].tolist()
        if rest and not self.drop_last:
            yield rest


def _split(points: np.ndarray, group: np.ndarray,
           size: int) -> list[np.ndarray]:
    """Halve points (N, 2) across their longer extent, until groups of a size
    remain."""
    if len(group) <= size:
        return [group]
    axis = np.ptp(points[group], axis=0).argmax()
    group = group[np.argsort(points[group, axis], kind='stable')]
    middle = len(group) // size // 2 * size
    return [
        *_split(points, group[:middle], size),
        *_split(points, group[middle:], size)
    ]
