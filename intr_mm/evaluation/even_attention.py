from collections.abc import Sequence

import torch
from mmpretrain.registry import METRICS

from .head_replacer import HeadReplacer
from .model_metric import ModelMetric


@METRICS.register_module()
class EvenAttention(ModelMetric):
    """How much of the decision is left when the last layer cannot look.

    All heads of the last decoder layer are made to look evenly at the image,
    for all classes. Reported in percent are ``top1`` of such a model and
    ``same``, the share of images whose prediction stays. Where much is left,
    earlier layers have told the classes apart, and the attention of the last
    one, however well it points, explains little of the decision. That an
    explanation should matter to its model is the argument of `Sanity Checks
    for Saliency Maps <https://arxiv.org/abs/1810.03292>`_ (NeurIPS 2018).

    Needs :class:`PrepareMetricsHook`.

    Args:
        collect_device: Device for collecting results from different ranks,
            'cpu' or 'gpu'. Defaults to 'cpu'.
        prefix: Prefix of the names of the figures. None stands for
            ``'even_attention'``.
    """

    default_prefix: str | None = 'even_attention'

    @torch.no_grad()
    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Predict with even attention.

        Args:
            data_batch: ``inputs``, the images.
            data_samples: Predictions, with ``gt_label``.

        Raises:
            RuntimeError: If the metric was not prepared.
        """
        replacer = HeadReplacer.of_images(self.model, data_batch['inputs'])
        every_head = torch.ones(
            len(data_samples),
            replacer.num_heads,
            dtype=torch.bool,
            device=replacer.device)
        labels = replacer(every_head).argmax(1).tolist()
        for label, sample in zip(labels, data_samples):
            self.results.append((label == int(sample['gt_label']),
                                 label == int(sample['pred_label'])))

    def compute_metrics(self, results: list[tuple]) -> dict:
        """Average over the images.

        Args:
            results: Whether each prediction is right, and whether it is that
                of the model as it is.

        Returns:
            ``top1`` and ``same``.
        """
        right, same = (100 * sum(values) / len(values)
                       for values in zip(*results))
        return dict(top1=right, same=same)
