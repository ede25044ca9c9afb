from typing import Dict, List, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric


class PointingMetric(BaseMetric):
    r"""How often the attention of the true class peaks in given regions.

    For each sample, the cell in which the mean over the heads of the true
    class's map is highest *hits* a region if the pixel on which that cell is
    centred lies in it. Subclasses say which regions. Beside each hit rate
    stand two controls:

    - ``*_area``: the mean share of the image that the region takes, which is
      the hit rate of a random pixel.
    - ``*_shuffled``: the mean hit rate of the *other* images' peaks, over all
      pairs of images. It knows the habits of the model and of the data, such
      as birds in the middle, but not the image.

    The pointing game is from `Top-down Neural Attention by Excitation
    Backprop <https://arxiv.org/abs/1608.00507>`_ (ECCV 2016).

    The model has to attach ``attention`` (K, heads, h, w), the maps over the
    valid cells, and ``attention_classes`` (K, ) to its predictions, and the
    true class has to be among them. All figures are in percent.

    Args:
        stride (int): Pixels of the network input from one cell of the map to
            the next.
        offset (float): Pixel of the network input on which the first cell is
            centred.
        keys (Sequence[str]): What the regions are made from, which each
            sample has to carry.
        collect_device (str): Device for collecting results from different
            ranks, 'cpu' or 'gpu'.
        prefix (str, optional): Prefix of the names of the figures.
    """

    def __init__(self, stride: int, offset: float, keys: Sequence[str],
                 collect_device: str, prefix: Optional[str]) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.stride = stride
        self.offset = offset
        self.keys = keys

    def regions(self, sample: dict) -> Dict[str, np.ndarray]:
        """Draw the regions of one sample.

        Args:
            sample (dict): The sample with its prediction.

        Returns:
            dict[str, np.ndarray]: For each region a bool mask (H, W), all of
            one size. They cover what the network saw, at any scale.
        """
        raise NotImplementedError

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Reduce each sample to its peak and to the cells that would hit.

        Args:
            data_batch: Not used.
            data_samples (Sequence[dict]): Predictions of the model.

        Raises:
            ValueError: If a sample lacks a key, or the map of its true class.
        """
        for sample in data_samples:
            for key in ('attention', 'attention_classes', *self.keys):
                if key not in sample:
                    raise ValueError(
                        f"{type(self).__name__} finds no '{key}' in a sample: "
                        "set model.test_cfg=dict(attention=dict(classes=('gt',"
                        ' ))), use a data set that gives '
                        f'{", ".join(self.keys)}, and list these in the '
                        'meta_keys of PackInputs.')
            heat = self._true_class_map(sample)
            regions = self.regions(sample)
            mask_size = next(iter(regions.values())).shape
            rows, columns = (self._centres(cells, size, of_mask)
                             for cells, size, of_mask in zip(
                                 heat.shape, sample['img_shape'], mask_size))
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

    def _true_class_map(self, sample):
        true_class = int(sample['gt_label'])
        place = (sample['attention_classes'] == true_class).nonzero()
        if len(place) == 0:
            raise ValueError(
                f'{type(self).__name__} needs the map of the true class '
                f'{true_class}, but the model gave those of '
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
