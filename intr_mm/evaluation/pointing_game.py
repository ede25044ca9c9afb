from typing import List, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS


@METRICS.register_module()
class PointingGame(BaseMetric):
    r"""How often the attention of the true class peaks where it should.

    For each sample, the cell in which the mean over the heads of the true
    class's map is highest *hits* a region if the pixel on which that cell is
    centred lies in it. Two regions are asked about: ``bird``, where the mask
    is not 0, and ``telling``, where it holds one of the sample's telling
    values. Beside each hit rate stand two controls:

    - ``*_area``: the mean share of the image that the region takes, which is
      the hit rate of a random pixel.
    - ``*_shuffled``: the mean hit rate of the *other* images' peaks, over all
      pairs of images. It knows the habits of the model and of the data, such
      as birds in the middle, but not the image.

    The pointing game is from `Top-down Neural Attention by Excitation
    Backprop <https://arxiv.org/abs/1608.00507>`_ (ECCV 2016), here without
    its tolerance margin.

    The model has to attach ``attention`` (K, heads, h, w), the maps over the
    valid cells, and ``attention_classes`` (K, ) to its predictions, and the
    true class has to be among them. All figures are in percent.

    Args:
        stride (int): Pixels of the network input from one cell of the map to
            the next.
        offset (float): Pixel of the network input on which the first cell is
            centred: 0 for stacks of padded convolutions, ``(stride - 1) / 2``
            for backbones that cut the image into patches. Defaults to 0.
        mask_key (str): Key of the mask (H, W) of the sample. A mask of
            another size than ``img_shape`` is taken to cover the same view.
            Defaults to ``'part_mask'``.
        telling_key (str): Key of the sample's telling values of the mask.
            Defaults to ``'telling_parts'``.
        collect_device (str): Device for collecting results from different
            ranks, 'cpu' or 'gpu'. Defaults to 'cpu'.
        prefix (str, optional): Prefix of the names of the figures. Defaults
            to None, which stands for ``'pointing'``.
    """

    default_prefix = 'pointing'

    def __init__(self,
                 stride: int,
                 offset: float = 0,
                 mask_key: str = 'part_mask',
                 telling_key: str = 'telling_parts',
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.stride = stride
        self.offset = offset
        self.mask_key = mask_key
        self.telling_key = telling_key

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Reduce each sample to its peak and to the cells that would hit.

        Args:
            data_batch: Not used.
            data_samples (Sequence[dict]): Predictions of the model.
        """
        for sample in data_samples:
            for key in ('attention', 'attention_classes', self.mask_key,
                        self.telling_key):
                if key not in sample:
                    raise ValueError(
                        f"PointingGame finds no '{key}' in a sample: set "
                        "model.test_cfg=dict(attention=dict(classes=('gt', )))"
                        ' and list the keys of the data set in the meta_keys '
                        'of PackInputs.')
            heat = self._true_class_map(sample)
            mask = np.asarray(sample[self.mask_key])
            regions = dict(
                bird=mask != 0,
                telling=np.isin(mask, sample[self.telling_key]))
            rows, columns = (self._centres(cells, size, of_mask)
                             for cells, size, of_mask in zip(
                                 heat.shape, sample['img_shape'], mask.shape))
            self.results.append(
                dict(
                    peak=np.unravel_index(heat.argmax(), heat.shape),
                    area={
                        k: v.mean()
                        for k, v in regions.items()
                    },
                    hits={
                        k: v[np.ix_(rows, columns)]
                        for k, v in regions.items()
                    }))

    @staticmethod
    def _true_class_map(sample):
        true_class = int(sample['gt_label'])
        place = (sample['attention_classes'] == true_class).nonzero()
        if len(place) == 0:
            raise ValueError(
                f'PointingGame needs the map of the true class {true_class}, '
                'but the model gave those of '
                f"{sample['attention_classes'].tolist()}: add 'gt' to "
                'model.test_cfg.attention.classes.')
        return sample['attention'][int(place[0])].float().mean(0).cpu().numpy()

    def _centres(self, num_cells, input_size, mask_size):
        """Find the mask's rows (or columns) on which cells are centred."""
        pixels = self.stride * np.arange(num_cells) + self.offset
        pixels = (pixels + .5) * mask_size / input_size - .5
        return np.clip(np.round(pixels), 0, mask_size - 1).astype(int)

    def compute_metrics(self, results: List[dict]) -> dict:
        """Compute hit rates and controls.

        Args:
            results (list[dict]): Peaks and hitting cells of all samples.

        Returns:
            dict: For each region its hit rate and its two controls in
            percent. A single image has no shuffled control: it is NaN.
        """
        shapes = np.array(
            [next(iter(r['hits'].values())).shape for r in results])
        peaks = np.array([r['peak'] for r in results])
        # Images of different sizes share relative positions.
        relative = (peaks + .5) / shapes
        metrics = {}
        for region in results[0]['hits']:
            hit = np.array(
                [r['hits'][region][tuple(r['peak'])] for r in results])
            by_all = sum(r['hits'][region][tuple((relative *
                                                  shape).astype(int).T)].sum()
                         for r, shape in zip(results, shapes))
            num_pairs = len(results) * (len(results) - 1)
            shuffled = ((by_all - hit.sum()) /
                        num_pairs if num_pairs else np.nan)
            area = np.mean([r['area'][region] for r in results])
            metrics[region] = 100 * float(hit.mean())
            metrics[f'{region}_area'] = 100 * float(area)
            metrics[f'{region}_shuffled'] = 100 * float(shuffled)
        return metrics
