"""What the metrics of this package share."""
from collections.abc import Sequence
from math import sqrt

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from scipy.stats import bootstrap
from torch import Tensor, nn


class ModelMetric(BaseMetric):
    """Base of metrics that question the model further than its predictions.

    :class:`PrepareMetricsHook` gives them the model.

    Args:
        *args, **kwargs: Those of :class:`mmengine.evaluator.BaseMetric`.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._model: nn.Module | None = None

    def prepare(self, model: nn.Module) -> None:
        """Receive the model, before an epoch of validation or test.

        Args:
            model: The classifier, not wrapped.
        """
        self._model = model

    @property
    def model(self) -> nn.Module:
        """The classifier.

        Raises:
            RuntimeError: If the metric was not prepared.
        """
        if self._model is None:
            raise RuntimeError(
                f'{type(self).__name__} needs the model: add '
                'PrepareMetricsHook to the hooks, or call prepare(model).')
        return self._model

    def images(self, data_batch: dict) -> list[Tensor]:
        """The images (3, h, w) of a batch.

        Raises:
            ValueError: If there are several views of each.
        """
        inputs = data_batch['inputs']
        if len(inputs) and not isinstance(inputs[0], Tensor):
            raise ValueError(
                f'{type(self).__name__} asks the model about images, but '
                'test-time augmentation gives several views of each, whose '
                'predictions are averaged: test without --tta, or take the '
                'metric out of test_evaluator.')
        return inputs


def one_class(sample: dict, user: object, kind: str = 'gt') -> int:
    """The true class of a sample, ``'gt'``, or the predicted one, ``'pred'``.

    Args:
        sample: The sample with its prediction.
        user: The metric that needs it.
        kind: Which of the two.

    Raises:
        ValueError: If several classes can be true.
    """
    labels = torch.as_tensor(sample[f'{kind}_label']).flatten()
    if sample.get('multi_label') or len(labels) != 1:
        raise ValueError(
            f'{type(user).__name__} is about images of one class, and makes '
            'no sense where several can be true: take it out of the '
            'evaluators, and AveragePrecision, MultiLabelMetric or '
            'PointingGame in.')
    return int(labels)


def class_maps(sample: dict,
               label: int,
               user: str,
               kind: str = 'gt') -> Tensor:
    """Attention maps of one class that a prediction carries.

    Args:
        sample: The sample with its prediction, see :meth:`INTRHead.predict`.
        label: The class.
        user: Who needs the maps, for the error message.
        kind: What class it is, ``'gt'``, the true one, or ``'pred'``, the
            predicted one, for the error message.

    Returns:
        float32 of shape (heads, h, w).

    Raises:
        ValueError: If the sample carries no attention, or none of the class.
    """
    for key in ('attention', 'attention_classes'):
        if key not in sample:
            raise ValueError(
                f"{user} finds no '{key}' in a sample: set "
                f"model.test_cfg=dict(attention=dict(classes=('{kind}', ))).")
    place = (sample['attention_classes'] == label).nonzero()
    if len(place) == 0:
        words = dict(gt='true', pred='predicted')[kind]
        raise ValueError(
            f'{user} needs the map of the {words} class {label}, but the '
            f"model gave those of {sample['attention_classes'].tolist()}: add "
            f"'{kind}' to model.test_cfg.attention.classes.")
    return sample['attention'][int(place[0])].float()


def check_not_flipped(sample: dict, mask_key: str, user: object) -> None:
    """Refuse a sample whose mask shows the image before a flip.

    Args:
        sample: The sample; without a ``flip``, nothing is known of one.
        mask_key: Key of the mask.
        user: The metric that needs it.

    Raises:
        ValueError: If the image was flipped.
    """
    if sample.get('flip'):
        # drawn images have no file
        name = sample.get('img_path') or f'image {sample.get("sample_idx")}'
        raise ValueError(
            f"{type(user).__name__} got '{name}' flipped, where its "
            f"'{mask_key}' lies elsewhere: take the flip out of the pipeline.")


def highest_cells(heat: np.ndarray) -> np.ndarray:
    """Flat indices of the cells in which a map is highest.

    They are several where it is flat there, and all if it has a NaN, with
    which nothing compares.
    """
    return np.flatnonzero(~(heat < heat.max()))


def wilson_interval(share: float, number: int) -> tuple[float, float]:
    """Wilson's 95 percent interval of a share, from `Probable Inference
    <https://doi.org/10.1080/01621459.1927.10502953>`_ (1927).

    It has a width where all are hits, or none, unlike a bootstrap's.

    Args:
        share: Of hits, from 0 to 1.
        number: Of how many; 0 tells nothing.

    Returns:
        Lower and upper bound, from 0 to 1.
    """
    if number == 0:
        return 0., 1.
    z = 1.96
    middle = share + z**2 / (2 * number)
    spread = z * sqrt(share * (1 - share) / number + (z / (2 * number))**2)
    low, high = ((middle + sign * spread) / (1 + z**2 / number)
                 for sign in (-1, 1))
    return max(low, 0.), min(high, 1.)


def bootstrap_interval(values: Sequence[float],
                       num_resamples: int = 1000,
                       seed: int = 0,
                       level: float = .95) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean, from `Bootstrap Methods:
    Another Look at the Jackknife
    <https://doi.org/10.1214/aos/1176344552>`_ (1979).

    Args:
        values: One value for each image.
        num_resamples: Number of resamples.
        seed: Seed of the resamples.
        level: Confidence level.

    Returns:
        Lower and upper bound; NaN for fewer than two values, which tell
        nothing of their spread.
    """
    if len(values) < 2:
        return float('nan'), float('nan')
    interval = bootstrap((np.asarray(values, dtype=float), ),
                         np.mean,
                         n_resamples=num_resamples,
                         confidence_level=level,
                         method='percentile',
                         random_state=seed).confidence_interval
    return float(interval.low), float(interval.high)
