from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS

from .temperature import calibration


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
        temperature: Temperature at which the scores are judged, as
            ``tools/analysis_tools/fit_temperature.py`` finds it. 1 leaves the
            scores as they are.
        collect_device: Device for collecting results from different ranks,
            'cpu' or 'gpu'.
        prefix: Prefix of the names of the figures. None stands for
            ``'calibration'``.
    """

    default_prefix: str | None = 'calibration'

    def __init__(self,
                 num_bins: int = 15,
                 temperature: float = 1.,
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if num_bins < 1 or temperature <= 0:
            raise ValueError(
                'CalibrationError needs num_bins >= 1 and temperature > 0, '
                f'got {num_bins} and {temperature}.')
        self.num_bins = num_bins
        self.temperature = temperature

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Note the scores and the true class of each sample.

        Args:
            data_batch: Not used.
            data_samples: Predictions of the model.
        """
        for sample in data_samples:
            self.results.append(
                (sample['pred_score'].float().cpu(), int(sample['gt_label'])))

    def compute_metrics(self, results: list[tuple]) -> dict:
        """Compute the calibration error.

        Args:
            results: Scores (C, ) and label of all samples.

        Returns:
            ``ece``, ``confidence`` and ``nll``.
        """
        scores, labels = zip(*results)
        figures = calibration(
            torch.stack(scores), torch.tensor(labels), self.num_bins,
            self.temperature)
        return {key: figures[key] for key in ('ece', 'confidence', 'nll')}
