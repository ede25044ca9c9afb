from collections.abc import Sequence

import numpy as np
import torch
from mmpretrain.registry import METRICS
from scipy.special import expit
from torch import Tensor, nn

from .head_replacer import HeadReplacer
from .model_metric import ModelMetric

_ORDERS = ('least', 'most')


@torch.no_grad()
def select_heads(model: nn.Module,
                 inputs: Sequence[Tensor],
                 classes: Tensor,
                 order: str = 'least') -> tuple[Tensor, Tensor]:
    """Replace heads greedily by even attention, and watch a class's score.

    One after the other, of the heads of the last decoder layer that still
    look for themselves, the one is made to look evenly at all cells whose
    replacement leaves the class's score highest (``'least'``: heads that do
    not matter go first) or lowest (``'most'``). The score is the log-odds of
    the class, as softmax scores soon round to 1.

    Args:
        model: ``INTRClassifier``, or mmpretrain's ``ImageClassifier`` with an
            ``INTRHead``, in eval mode.
        inputs: B images (3, h, w), not normalised.
        classes: The class (B, ) whose score is watched.
        order: ``'least'`` or ``'most'``.

    Returns:
        The heads (B, heads), from 0, in the order of their replacement; and
        the log-odds (B, heads + 1) with none, one and so on, and all heads
        replaced, of which the sigmoid is the softmax score.

    Raises:
        ValueError: If ``order`` is unknown.
    """
    _check_order(order, 'select_heads')
    replacer = HeadReplacer.of_images(model, inputs)
    index = classes.to(replacer.device)[:, None]

    def score(replaced: Tensor) -> Tensor:
        logits = replacer(replaced).float()
        rivals = logits.scatter(1, index, -torch.inf).logsumexp(1)
        return logits.gather(1, index).squeeze(1) - rivals

    sign = 1 if order == 'least' else -1
    replaced = torch.zeros(
        len(classes),
        replacer.num_heads,
        dtype=torch.bool,
        device=replacer.device)
    steps, curve = [], [score(replaced)]
    one_each = torch.eye(replacer.num_heads, device=replacer.device).bool()
    for _ in range(replacer.num_heads):
        scores = torch.stack([score(replaced | one) for one in one_each], 1)
        # Replaced heads are no candidates.
        scores = (sign * scores).masked_fill(replaced, -torch.inf)
        best, step = scores.max(1)
        replaced = replaced | one_each[step]
        steps.append(step)
        curve.append(sign * best)
    return torch.stack(steps, 1), torch.stack(curve, 1)


@METRICS.register_module()
class HeadSelection(ModelMetric):
    """Which heads the score of the true class rests on.

    Of each image, the heads of the last decoder layer are replaced greedily
    by even attention, see :func:`select_heads`. Heads were removed greedily in
    `Are Sixteen Heads Really Better than One?
    <https://arxiv.org/abs/1905.10650>`_ (NeurIPS 2019).

    Reports ``log_odds_{n}``, the mean log-odds of the true class with n heads
    replaced, in nats; and in percent ``score_{n}``, its mean softmax score;
    ``area``, the mean of the scores' curve by the trapezoidal rule; and of
    each head ``head{i}_first`` and ``head{i}_last``, how often it is the first
    or the last to be replaced. With ``'least'``, the last is the one that the
    class most depends on.

    Needs :class:`PrepareMetricsHook`.

    Args:
        order: ``'least'``: heads that do not matter go first, or ``'most'``.
        collect_device: Device for collecting results from different ranks,
            'cpu' or 'gpu'.
        prefix: Prefix of the names of the figures. None stands for
            ``'head_selection'``.
    """

    default_prefix: str | None = 'head_selection'

    def __init__(self,
                 order: str = 'least',
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        _check_order(order, type(self).__name__)
        self.order = order

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Replace the heads of each image.

        Args:
            data_batch: ``inputs``, the images.
            data_samples: With ``gt_label``.

        Raises:
            RuntimeError: If the metric was not prepared.
        """
        labels = torch.tensor([int(s['gt_label']) for s in data_samples])
        steps, curves = select_heads(self.model, data_batch['inputs'], labels,
                                     self.order)
        self.results.extend(zip(steps.cpu().numpy(), curves.cpu().numpy()))

    def compute_metrics(self, results: list[tuple]) -> dict:
        """Average over the images.

        Args:
            results: Order and curve of each image.

        Returns:
            The figures.
        """
        steps, curves = (np.stack(values) for values in zip(*results))
        curve = 100 * expit(curves.astype(np.float64)).mean(0)
        metrics = {f'score_{n}': float(v) for n, v in enumerate(curve)}
        for n, value in enumerate(curves.mean(0, dtype=np.float64)):
            metrics[f'log_odds_{n}'] = float(value)
        metrics['area'] = float((curve[1:] + curve[:-1]).mean() / 2)
        for i in range(steps.shape[1]):
            for name, step in (('first', 0), ('last', -1)):
                metrics[f'head{i + 1}_{name}'] = 100 * float(
                    (steps[:, step] == i).mean())
        return metrics


def _check_order(order: str, user: str) -> None:
    if order not in _ORDERS:
        raise ValueError(f"{user} got order={order!r}: use 'least' or 'most'.")
