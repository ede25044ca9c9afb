"""What metrics share that change an image where an explainer points."""
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from mmpretrain.registry import TASK_UTILS
from torch import Tensor

from intr_mm.models import INTRClassifier, prepare_images
from intr_mm.models.padding import cut_padding
from intr_mm.models.utils import last_of
from intr_mm.structures import Explanation
from .base import ModelMetric, bootstrap_interval, one_class


class PerturbationMetric(ModelMetric):
    """Base of metrics that change an image where an explainer points, and ask
    the model again.

    Args:
        explainer: Config of the explainer in ``TASK_UTILS``.
        target: Class to explain: ``'pred'``, the predicted, or ``'gt'``, the
            true one.
        sample_interval: Take every n-th sample of the data set, by its
            ``sample_idx``.
        batch_size: Number of changed images that pass the model at once.
        interval: Whether to report the bounds of 95 percent intervals over
            the images, as ``*_low`` and ``*_high``.
        **kwargs: Those of :class:`mmengine.evaluator.BaseMetric`.
    """

    def __init__(self,
                 explainer: dict,
                 target: str = 'pred',
                 sample_interval: int = 1,
                 batch_size: int = 32,
                 interval: bool = False,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        if target not in ('pred', 'gt'):
            raise ValueError(f'{type(self).__name__} got target={target!r}: '
                             "use 'pred' or 'gt'.")
        self.explainer = TASK_UTILS.build(explainer)
        self.target = target
        self.sample_interval = sample_interval
        self.batch_size = batch_size
        self.interval = interval

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Explain the samples whose turn it is, and evaluate each.

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
        evaluated = [{} for _ in data_samples]
        self.results.extend(evaluated)
        if not asked:
            return
        inputs = self.images(data_batch)
        images = [inputs[i] for i in asked]
        classes = [
            one_class(data_samples[i], self, self.target) for i in asked
        ]
        explained = self.explainer(model, images, torch.tensor(classes))
        names = self.explainer.names(model)
        for i, image, class_, explanation in zip(asked, images, classes,
                                                 explained):
            figures = self.evaluate_image(image.cpu(), class_, explanation)
            evaluated[i].update({
                f'{name}/{key}' if len(names) > 1 else key:
                value
                for key, values in figures.items()
                for name, value in zip(names, values)
            })

    def _has_its_turn(self, sample: dict) -> bool:
        if self.sample_interval == 1:
            return True
        if 'sample_idx' not in sample:
            raise ValueError(
                f"{type(self).__name__} finds no 'sample_idx' in a sample: "
                'list it in the meta_keys of PackInputs, or take all samples '
                'with sample_interval=1.')
        return sample['sample_idx'] % self.sample_interval == 0

    @abstractmethod
    def evaluate_image(self, image: Tensor, class_: int,
                       explanation: Explanation) -> dict:
        """Evaluate the maps of one image."""

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

    @torch.no_grad()
    def cells(self, images: Tensor, grid: tuple[int, int]) -> list[Tensor]:
        """What the encoder reads of images.

        Args:
            images: N images of one size (N, 3, H, W), not normalised.
            grid: Height and width (h, w) of the map that ranks the cells.

        Returns:
            Of each image its feature map (C_in, h, w), without padding.

        Raises:
            TypeError: If the model is no :class:`INTRClassifier`.
            ValueError: If the cells of the map are not those.
        """
        model = self.model
        if not isinstance(model, INTRClassifier):
            raise TypeError(
                f"{type(self).__name__} changes cells of an INTRClassifier's "
                f"feature map, but the model is {type(model).__name__}: set "
                "of='pixels'.")
        feats, mask = model.padded_maps(
            *prepare_images(model, images), store=True)
        cells = cut_padding(last_of(feats), mask)
        found = tuple(cells[0].shape[-2:])
        if tuple(grid) != found:
            raise ValueError(
                f'{type(self).__name__} changes the {found} cells that the '
                f"encoder reads, but the map has {tuple(grid)}: set "
                "of='pixels'.")
        return cells

    @torch.no_grad()
    def cell_scores(self, cells: Tensor) -> Tensor:
        """Ask the model about feature maps.

        Args:
            cells: N maps (N, C_in, h, w), as the encoder reads them.

        Returns:
            Softmax scores (N, C) on the CPU.
        """
        scores = []
        for chunk in cells.split(self.batch_size):
            tokens, *_ = self.model.encode((chunk, ), None, False)
            scores.append(self.model.head(tokens).float().softmax(-1).cpu())
        return torch.cat(scores)

    def blank(self) -> Tensor:
        """The colour (3, 1, 1) that normalisation turns into zero."""
        preprocessor = self.model.data_preprocessor
        if not getattr(preprocessor, '_enable_normalize', False):
            return torch.zeros(3, 1, 1)
        mean = preprocessor.mean.cpu().view(3, 1, 1)
        return mean.flip(0) if preprocessor.to_rgb else mean

    def compute_metrics(self, results: list[dict]) -> dict:
        """Average over the images."""
        results = [result for result in results if result]
        metrics = dict(num_images=len(results))
        for key in results[0] if results else ():
            values = [result[key] for result in results]
            metrics[key] = sum(values) / len(values)
            if self.interval:
                low, high = self.interval_of(values)
                metrics.update({f'{key}_low': low, f'{key}_high': high})
        return metrics

    @staticmethod
    def interval_of(values: Sequence[float]) -> tuple[float, float]:
        """95 percent interval of a mean over the images."""
        return bootstrap_interval(values)


def rank_cells(maps: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Order the cells, or pixels, of maps.

    Equal ones, such as all on which Grad-CAM is zero, are ordered at random.
    In the order of their rows, they would favour an edge of the image.

    Args:
        maps: Shape (M, h, w), of one image.
        rng: Orders equal cells.

    Returns:
        Of the same shape, the place of each cell in the order, 0 for the
        highest.
    """
    heat = torch.from_numpy(maps).flatten(1)  # (M, h * w)
    mixed = torch.from_numpy(rng.permutation(heat.shape[1]))
    order = mixed[heat[:, mixed].argsort(descending=True, stable=True)]
    return order.argsort().view(maps.shape)


def rank_pixels(explanation: Explanation, rng: np.random.Generator) -> Tensor:
    """:func:`rank_cells` of an image's maps (M, ...) on the pixels (h, w) of
    the network's input."""
    return rank_cells(explanation.on_pixels(explanation.img_shape), rng)
