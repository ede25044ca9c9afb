"""Temperature scaling, and how well scores are calibrated.

All work on softmax scores: their logarithms are the logits up to a constant,
which the softmax forgets.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS
from scipy.optimize import minimize_scalar
from torch import Tensor

from .base import one_class

_LOWEST, _HIGHEST = .01, 100.


def apply_temperature(scores: Tensor, temperature: float) -> Tensor:
    """Log-probabilities at a temperature.

    Args:
        scores: Softmax scores (..., C).
        temperature: What divides the logits; 1 changes nothing, more makes the
            scores less sure.

    Returns:
        float64 of the same shape.

    Raises:
        ValueError: If the temperature is not positive.
    """
    if temperature <= 0:
        raise ValueError(
            f'A temperature has to be positive, got {temperature}.')
    # Scores too small for float32 have become 0.
    tiny = torch.finfo(torch.float32).tiny
    logits = scores.double().clamp(min=tiny).log()
    return F.log_softmax(logits / temperature, dim=-1)


def fit_temperature(scores: Tensor, labels: Tensor) -> float:
    """Temperature at which the scores give the labels the highest likelihood.

    Temperature scaling is from `On Calibration of Modern Neural Networks
    <https://arxiv.org/abs/1706.04599>`_ (ICML 2017). It changes no
    prediction.

    Args:
        scores: Softmax scores (N, C), of images that the model was not trained
            on.
        labels: True classes (N, ).

    Returns:
        The temperature, between 0.01 and 100.

    Raises:
        ValueError: If no prediction is wrong, or there are none: the lower the
            temperature, the better it would fit.
    """
    if bool((scores.argmax(1) == labels).all()):
        raise ValueError(
            f'A temperature cannot be fitted to {len(scores)} predictions of '
            'which none is wrong, as any that is low enough would do: give '
            'more images.')

    def nll(log_temperature: float) -> float:
        log_probs = apply_temperature(scores, float(np.exp(log_temperature)))
        return float(F.nll_loss(log_probs, labels))

    # Convex in the inverse temperature, so that there is one minimum.
    best = minimize_scalar(
        nll,
        bounds=(np.log(_LOWEST), np.log(_HIGHEST)),
        method='bounded',
        options=dict(xatol=1e-6))
    return float(np.exp(best.x))


def calibration(scores: Tensor,
                labels: Tensor,
                num_bins: int = 15,
                temperature: float = 1.) -> dict[str, float]:
    """Expected calibration error and likelihood of scores.

    Args:
        scores: Softmax scores (N, C).
        labels: True classes (N, ).
        num_bins: Number of bins of equal width.
        temperature: What divides the logits. Defaults to 1.

    Returns:
        ``ece``, ``confidence``, the mean score of the predicted class, and
        ``accuracy`` in percent; ``nll`` in nats.
    """
    log_probs = apply_temperature(scores, temperature)
    confidence, predicted = log_probs.exp().max(1)
    correct = (predicted == labels).double()
    # Bins are open below and closed above, as in the paper.
    bins = (confidence * num_bins).ceil().long().clamp(1, num_bins) - 1
    gaps = torch.zeros(num_bins).double().index_add(0, bins,
                                                    confidence - correct)
    figures = dict(
        ece=gaps.abs().sum() / len(labels),
        confidence=confidence.mean(),
        accuracy=correct.mean())
    figures = {key: 100 * float(value) for key, value in figures.items()}
    return dict(figures, nll=float(F.nll_loss(log_probs, labels)))


@METRICS.register_module()
class CalibrationError(BaseMetric):
    """How far the scores are from the share of correct predictions.

    Predictions are sorted into bins by their confidence, the score of the
    predicted class. The expected calibration error is the distance between
    the mean confidence and the accuracy of a bin, averaged over the
    predictions; see `On Calibration of Modern Neural Networks
    <https://arxiv.org/abs/1706.04599>`_ (ICML 2017).

    Reports ``ece`` and ``confidence``, the mean confidence, in percent, and
    ``nll``, the mean negative log-likelihood of the true class in nats.

    Args:
        num_bins: Number of bins of equal width.
        temperature: Temperature at which the scores are evaluated, as
            ``tools/analysis_tools/fit_temperature.py`` finds it. 1 leaves the
            scores as they are.
        **kwargs: Those of :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix: str | None = 'calibration'

    def __init__(self,
                 num_bins: int = 15,
                 temperature: float = 1.,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        if num_bins < 1 or temperature <= 0:
            raise ValueError(
                'CalibrationError needs num_bins >= 1 and temperature > 0, '
                f'got {num_bins} and {temperature}.')
        self.num_bins = num_bins
        self.temperature = temperature

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Note the scores and the true class of each sample."""
        for sample in data_samples:
            self.results.append(
                (sample['pred_score'].float().cpu(), one_class(sample, self)))

    def compute_metrics(self, results: list[tuple]) -> dict:
        """Compute the calibration error."""
        scores, labels = zip(*results)
        figures = calibration(
            torch.stack(scores), torch.tensor(labels), self.num_bins,
            self.temperature)
        return {key: figures[key] for key in ('ece', 'confidence', 'nll')}
