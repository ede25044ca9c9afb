from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from mmpretrain.registry import METRICS, TASK_UTILS
from torch import Tensor

from intr_mm.structures import CellGeometry, Explanation
from .base import (ModelMetric, bootstrap_interval, check_not_flipped,
                   class_maps, highest_cells, one_class, wilson_interval)
from .map_mass import cell_cover, cell_mass, mass_of_others, merge_cells


class PointingMetric(ModelMetric):
    r"""How often, and how much, maps of the true class point to regions.

    For each sample, the cell in which the map of the true class is highest
    *hits* a region if the pixel on which that cell is centred lies in it. Of
    several that are equally high, each counts for its share, so that a flat
    map hits as often as a random cell. The *mass* of a region is the share
    that it holds of all that is positive in the map, interpolated bilinearly
    to the pixels. Subclasses say which regions. For each region are reported,
    in percent:

    - the hit rate, under the region's own name.
    - ``*_mass``: the mean mass.
    - ``*_area``: the mean share of the image that the region takes, which is
      the hit rate of a random pixel and the mass of an even map.
    - ``*_shuffled`` and ``*_mass_shuffled``: the means for the *other*
      images' maps, over all pairs of images. They know the habits of the
      model and of the data, such as birds in the middle, but not the image.
      Maps of more than 56 cells per side are coarsened for the latter.
    - with ``interval``, ``*_low`` and ``*_high``, ``*_mass_low`` and
      ``*_mass_high``: the bounds of 95 percent bootstrap intervals over the
      images.

    The pointing game is from `Top-down Neural Attention by Excitation
    Backprop <https://arxiv.org/abs/1608.00507>`_ (ECCV 2016), the mass from
    `Score-CAM <https://arxiv.org/abs/1910.01279>`_ (CVPR Workshops 2020).

    Where several classes are true, the map of each is a sample of its own.

    Without an ``explainer``, the map is the mean over the heads of the
    attention that the model attaches to its predictions: ``attention`` (K,
    heads, h, w), over the valid cells, and ``attention_classes`` (K, ), with
    the true class among them. The figures of an explainer with several names
    carry them as ``{name}/``, but for ``*_area``, which has no map.

    Args:
        stride: Pixels of the network input from one cell of the map to the
            next. Needed without an ``explainer``, which knows its own.
        offset: Pixel of the network input on which the first cell is centred.
        keys: What the regions are made from, which each sample has to carry.
        explainer: Config of the explainer in ``TASK_UTILS`` whose maps are
            evaluated. It needs :class:`PrepareMetricsHook`. None means the
            attached attention.
        interval: Whether to report intervals.
        **kwargs: Those of :class:`mmengine.evaluator.BaseMetric`.
    """

    def __init__(self,
                 stride: float | None = None,
                 offset: float = 0,
                 keys: Sequence[str] = (),
                 explainer: dict | None = None,
                 interval: bool = False,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        if stride is None and explainer is None:
            raise ValueError(
                f'{type(self).__name__} cannot place the cells of the maps: '
                'give it the stride of the feature map, or an explainer.')
        self.stride = stride
        self.offset = offset
        self.keys = keys
        self.explainer = explainer and TASK_UTILS.build(explainer)
        self.interval = interval

    @abstractmethod
    def regions(self, sample: dict) -> dict[str, np.ndarray]:
        """Draw the regions of one sample."""

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Reduce each sample to peaks, masses, and what the regions cover.

        Raises:
            ValueError: If a sample lacks a key, or the map of its true class.
        """
        needed = self.keys
        if self.explainer is None:
            needed = ('attention', 'attention_classes', *self.keys)
        for sample in data_samples:
            for key in needed:
                if key not in sample:
                    raise ValueError(
                        f"{type(self).__name__} finds no '{key}' in a sample: "
                        "set model.test_cfg=dict(attention=dict(classes=('gt',"
                        ' ))), use a data set that gives '
                        f'{", ".join(self.keys)}, and list these in the '
                        'meta_keys of PackInputs.')
        ones = [self.each_class(sample) for sample in data_samples]
        flat = [one for of_image in ones for one in of_image]
        names, explained = [''], map(self._attached, flat)
        if self.explainer is not None and flat:
            images = [
                image
                for image, of_image in zip(self.images(data_batch), ones)
                for _ in of_image
            ]
            names, explained = self._explain(images, flat)
        explained = iter(explained)
        # One result for each sample, as MMEngine counts them.
        for of_image in ones:
            self.results.append([
                self._reduce(names, next(explained), one) for one in of_image
            ])

    def each_class(self, sample: dict) -> list[dict]:
        """A sample for each of its true classes."""
        return [dict(sample, gt_label=one_class(sample, self))]

    def _attached(self, sample: dict) -> Explanation:
        maps = class_maps(sample, int(sample['gt_label']), type(self).__name__)
        return Explanation(
            maps.mean(0, keepdim=True).cpu().numpy(),
            CellGeometry(self.stride, self.offset), sample['img_shape'][:2])

    def _explain(self, images: list[Tensor], data_samples: list[dict]):
        labels = torch.tensor([int(s['gt_label']) for s in data_samples])
        names = self.explainer.names(self.model)
        cells = self.explainer(self.model, images, labels)
        return names if len(names) > 1 else [''], cells

    def _reduce(self, names: list[str], cells: Explanation,
                sample: dict) -> dict:
        regions = self.regions(sample)
        grid = cells.maps.shape[1:]
        mask_shape = next(iter(regions.values())).shape
        sizes = list(zip(grid, cells.img_shape, mask_shape))
        centres = [cells.geometry.centres(*size) for size in sizes]
        axes = [cells.geometry.interpolation(*size) for size in sizes]
        weight, cover = cell_cover(regions, *axes)
        mass = [cell_mass(heat, weight) for heat in cells.maps]
        return dict(
            peak={
                name: highest_cells(heat)
                for name, heat in zip(names, cells.maps)
            },
            mass={
                name: {
                    k: float((m * v).sum())
                    for k, v in cover.items()
                }
                for name, m in zip(names, mass)
            },
            cell_mass={
                name: merge_cells(m)
                for name, m in zip(names, mass)
            },
            cover={
                k: merge_cells(v)
                for k, v in cover.items()
            },
            area={
                k: v.mean()
                for k, v in regions.items()
            },
            hits={
                k: v[np.ix_(*centres)]
                for k, v in regions.items()
            })

    def compute_metrics(self, results: list[list[dict]]) -> dict:
        """Compute hit rates, masses and controls.

        Raises:
            ValueError: If no image has a true class.
        """
        results = [one for of_image in results for one in of_image]
        if not results:
            raise ValueError(f'{type(self).__name__} found no true class in '
                             'any image.')
        metrics = {}
        for region in results[0]['hits']:
            area = np.mean([r['area'][region] for r in results])
            metrics[f'{region}_area'] = 100 * float(area)
            for name in results[0]['peak']:
                key = f'{name}/{region}' if name else region
                metrics.update(self._figures(results, name, region, key))
        return metrics

    def _figures(self, results: list[dict], name: str, region: str,
                 key: str) -> dict[str, float]:
        hits = [r['hits'][region] for r in results]
        peaks = [r['peak'][name] for r in results]
        hit = np.array([h.flat[peak].mean() for h, peak in zip(hits, peaks)])
        relative, weights = _all_peaks(peaks, [h.shape for h in hits])
        places = (tuple((relative * h.shape).astype(int).T) for h in hits)
        by_all = sum(weights[h[p]].sum() for h, p in zip(hits, places))
        pairs = len(results) * (len(results) - 1)
        mass = np.array([r['mass'][name][region] for r in results])
        mass_shuffled = mass_of_others([r['cell_mass'][name] for r in results],
                                       [r['cover'][region] for r in results])
        figures = {
            key: hit.mean(),
            f'{key}_shuffled':
            (by_all - hit.sum()) / pairs if pairs else np.nan,
            f'{key}_mass': mass.mean(),
            f'{key}_mass_shuffled': mass_shuffled.mean(),
        }
        if self.interval:
            intervals = (('', wilson_interval(hit.mean(), len(hit))),
                         ('_mass', bootstrap_interval(mass)))
            for kind, (low, high) in intervals:
                figures[f'{key}{kind}_low'] = low
                figures[f'{key}{kind}_high'] = high
        return {k: 100 * float(v) for k, v in figures.items()}


def _all_peaks(peaks: list[np.ndarray],
               shapes: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Where the maps of all images peak.

    Args:
        peaks: Of each image the flat indices of its highest cells.
        shapes: Of each image the grid (h, w) of its cells.

    Returns:
        Relative positions (P, 2), which images of different sizes share, and
        how many maps peak there (P, ), as a sum of their shares.
    """
    # One sum for each grid, as a flat map peaks in all of its cells.
    of_grid = {shape: np.zeros(shape) for shape in shapes}
    for peak, shape in zip(peaks, shapes):
        of_grid[shape].flat[peak] += 1 / len(peak)
    relative = [(np.argwhere(total) + .5) / shape
                for shape, total in of_grid.items()]
    weights = [total[total > 0] for total in of_grid.values()]
    return np.concatenate(relative), np.concatenate(weights)


@METRICS.register_module()
class PointingGame(PointingMetric):
    r"""How often the attention of the true class peaks where it should.

    Two regions of a mask are asked about: ``bird``, where it is not 0, and
    ``telling``, where it holds one of the sample's telling values. With a
    ``differing_key`` comes ``differing``, where the true class and its best
    rival differ, at which a map of the margin should point. For each,
    :class:`PointingMetric` says which figures and controls are reported, and
    what the model has to attach.
    There is no tolerance margin around the regions.

    Where several classes are true, the sample has a mask, telling values and
    differing values for each, ``bird`` is the one of the class, and a further
    region, ``other``, that of the other classes: a map that tells its class
    from those beside it seldom peaks there.

    Args:
        stride: Pixels of the network input from one cell of the map to the
            next; not needed with an ``explainer``.
        offset: Pixel of the network input on which the first cell is centred:
            0 for stacks of padded convolutions, ``(stride - 1) / 2`` for
            backbones that cut the image into patches.
        mask_key: Key of the mask (H, W) of the sample. A mask of another size
            than ``img_shape`` is taken to cover the same view. Flips of the
            image are refused where ``PackInputs`` has the meta key ``flip``.
        telling_key: Key of the sample's telling values of the mask.
        differing_key: Key of what gives, for each class, the values of the
            mask in which it differs from the true one. The best rival is the
            class of the highest ``pred_score`` but for those that are true.
        **kwargs: ``explainer``, ``interval`` and others of
            :class:`PointingMetric`.
    """

    default_prefix = 'pointing'

    def __init__(self,
                 stride: float | None = None,
                 offset: float = 0,
                 mask_key: str = 'part_mask',
                 telling_key: str = 'telling_parts',
                 differing_key: str | None = None,
                 **kwargs) -> None:
        keys = (mask_key, telling_key, differing_key)
        super().__init__(stride, offset, [k for k in keys if k], **kwargs)
        self.mask_key = mask_key
        self.telling_key = telling_key
        self.differing_key = differing_key

    def each_class(self, sample: dict) -> list[dict]:
        """See :class:`PointingMetric`; each with the mask of all others."""
        masks = np.asarray(sample[self.mask_key])
        if masks.ndim == 2:
            return super().each_class(sample)
        labels = torch.as_tensor(sample['gt_label']).flatten().tolist()
        return [
            dict(
                sample,
                gt_label=label,
                true_classes=labels,
                others=(np.delete(masks, i, 0) != 0).any(0),
                **{key: sample[key][i]
                   for key in self.keys}) for i, label in enumerate(labels)
        ]

    def regions(self, sample: dict) -> dict[str, np.ndarray]:
        """Read the regions off the mask.

        Raises:
            ValueError: If the image was flipped.
        """
        check_not_flipped(sample, self.mask_key, self)
        mask = np.asarray(sample[self.mask_key])
        regions = dict(
            bird=mask != 0, telling=np.isin(mask, sample[self.telling_key]))
        if 'others' in sample:
            regions['other'] = sample['others']
        if self.differing_key:
            scores = torch.as_tensor(sample['pred_score']).clone()
            scores[sample.get('true_classes', sample['gt_label'])] = -1
            differing = sample[self.differing_key][int(scores.argmax())]
            regions['differing'] = np.isin(mask, differing)
        return regions
