from collections.abc import Sequence

import numpy as np
import torch
from mmpretrain.registry import TASK_UTILS
from torch import Tensor

from intr_mm.explainers import CellMaps
from intr_mm.models.utils import prepare_images
from intr_mm.visualization import sample_attention
from .bootstrap import bootstrap_interval
from .model_metric import ModelMetric


class ExplanationMetric(ModelMetric):
    """Base of metrics that change an image where an explainer points, and ask
    the model again.

    Args:
        explainer: Config of the explainer in ``TASK_UTILS``.
        target: Class to explain: ``'pred'``, the predicted, or ``'gt'``, the
            true one.
        sample_interval: Judge every n-th sample of the data set, by its
            ``sample_idx``.
        batch_size: Number of changed images that pass the model at once.
        interval: Whether to report the bounds of 95 percent bootstrap
            intervals over the images, as ``*_low`` and ``*_high``.
        collect_device: Device for collecting results from different ranks,
            'cpu' or 'gpu'.
        prefix: Prefix of the names of the figures.
    """

    def __init__(self, explainer: dict, target: str, sample_interval: int,
                 batch_size: int, interval: bool, collect_device: str,
                 prefix: str | None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if target not in ('pred', 'gt'):
            raise ValueError(f'{type(self).__name__} got target={target!r}: '
                             "use 'pred' or 'gt'.")
        self.explainer = TASK_UTILS.build(explainer)
        self.target = target
        self.sample_interval = sample_interval
        self.batch_size = batch_size
        self.interval = interval

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Explain the samples whose turn it is, and judge each.

        Args:
            data_batch: ``inputs``, the images.
            data_samples: Predictions of the model.

        Raises:
            RuntimeError: If the metric was not prepared.
        """
        model = self.model
        asked = [
            i for i, sample in enumerate(data_samples)
            if self._has_its_turn(sample)
        ]
        # One result for each sample, even if empty: by their number, MMEngine
        # tells the repetitions that fill up the batches of several ranks.
        judged = [{} for _ in data_samples]
        self.results.extend(judged)
        if not asked:
            return
        images = [data_batch['inputs'][i] for i in asked]
        key = f'{self.target}_label'
        classes = [int(data_samples[i][key]) for i in asked]
        explained = self.explainer(model, images, torch.tensor(classes))
        names = self.explainer.names(model)
        for i, image, class_, cells in zip(asked, images, classes, explained):
            figures = self.judge(image.cpu(), class_, cells)
            judged[i].update({
                f'{name}/{key}' if len(names) > 1 else key: value
                for key, values in figures.items()
                for name, value in zip(names, values)
            })

    def _has_its_turn(self, sample: dict) -> bool:
        if self.sample_interval == 1:
            return True
        if 'sample_idx' not in sample:
            raise ValueError(
                f"{type(self).__name__} finds no 'sample_idx' in a sample: "
                'list it in the meta_keys of PackInputs, or judge all samples '
                'with sample_interval=1.')
        return sample['sample_idx'] % self.sample_interval == 0

    def judge(self, image: Tensor, class_: int, cells: CellMaps) -> dict:
        """Judge the maps of one image.

        Args:
            image: The image (3, h, w), not normalised.
            class_: The class that was explained.
            cells: Its M maps.

        Returns:
            For each figure M values, in percent.
        """
        raise NotImplementedError

    @torch.no_grad()
    def scores(self, images: Tensor) -> Tensor:
        """Ask the model.

        Args:
            images: N images (N, 3, h, w), not normalised.

        Returns:
            Softmax scores (N, C) on the CPU.
        """
        scores = []
        for chunk in images.split(self.batch_size):
            logits = self.model(
                *prepare_images(self.model, chunk), mode='tensor')
            scores.append(logits.float().softmax(-1).cpu())
        return torch.cat(scores)

    def blank(self) -> Tensor:
        """The colour (3, 1, 1) that normalisation turns into zero."""
        preprocessor = self.model.data_preprocessor
        if not getattr(preprocessor, '_enable_normalize', False):
            return torch.zeros(3, 1, 1)
        mean = preprocessor.mean.cpu().view(3, 1, 1)
        return mean.flip(0) if preprocessor.to_rgb else mean

    def compute_metrics(self, results: list[dict]) -> dict:
        """Average over the images.

        Args:
            results: Figures of each image, empty if it was not judged.

        Returns:
            The figures, and ``num_images``.
        """
        results = [result for result in results if result]
        metrics = dict(num_images=len(results))
        for key in results[0] if results else ():
            values = [result[key] for result in results]
            metrics[key] = sum(values) / len(values)
            if self.interval:
                low, high = bootstrap_interval(values)
                metrics.update({f'{key}_low': low, f'{key}_high': high})
        return metrics


def rank_pixels(cells: CellMaps, rng: np.random.Generator) -> Tensor:
    """Order the pixels of the network's input by maps.

    Equal pixels, such as all on which Grad-CAM is zero, are ordered at random.
    In the order of their rows, they would favour an edge of the image.

    Args:
        cells: Maps of one image.
        rng: Orders equal pixels.

    Returns:
        Of shape (M, h, w), the place of each pixel in the order, 0 for the
        highest.
    """
    heat = torch.from_numpy(
        sample_attention(cells.maps, cells.geometry, cells.img_shape,
                         cells.img_shape)).flatten(1)
    mixed = torch.from_numpy(rng.permutation(heat.shape[1]))
    order = mixed[heat[:, mixed].argsort(descending=True, stable=True)]
    return order.argsort().view(-1, *cells.img_shape)
