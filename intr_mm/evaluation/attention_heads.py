from collections.abc import Iterable, Sequence

import numpy as np
import torch
from mmpretrain.registry import METRICS
from scipy.special import expit
from torch import Tensor, nn

from intr_mm.models import explain_batch
from .base import ModelMetric, highest_cells, one_class

_ORDERS = ('least', 'most')


@METRICS.register_module()
class EvenAttention(ModelMetric):
    """How much of the decision is left when the last layer cannot look.

    All heads of the last decoder layer are made to look evenly at the image,
    for all classes. Reported in percent are ``top1`` of such a model and
    ``same``, the share of images whose prediction stays; ``margin``, the mean
    share, from 0 to 100, that goes of the predicted class's lead in logits
    over the best other class: what the map accounts for; and ``chance``, the
    top-1 of a guess. Classes of one score, as all are of a head that gives
    evidence, count as chosen by lot. Where much is left, earlier layers have
    told the classes apart, and the attention of the last one, however well it
    points, explains little of the decision. That an explanation should matter
    to its model is the argument of `Sanity Checks for Saliency Maps
    <https://arxiv.org/abs/1810.03292>`_ (NeurIPS 2018).

    Needs :class:`PrepareMetricsHook`.
    """

    default_prefix: str | None = 'even_attention'

    @torch.no_grad()
    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Predict with even attention.

        Raises:
            RuntimeError: If the metric was not prepared.
        """
        _, decoded = explain_batch(self.model, self.images(data_batch))
        logits = decoded.logits.float()
        even = self.model.head.rescore_even(decoded).float()
        best = logits.argmax(1, keepdim=True)
        pair = torch.cat(
            (best, logits.scatter(1, best, -torch.inf).argmax(1, True)), 1)
        margin, kept = (
            of.gather(1, pair).diff(dim=1).neg() for of in (logits, even))
        # a tie is a margin of which nothing can go
        tiny = torch.finfo(margin.dtype).tiny
        gone = ((margin - kept) / margin.clamp(min=tiny)).clamp(0, 1)
        gone = gone.where(margin > 0, 0)
        for scores, share, sample in zip(
                even.softmax(1).cpu(),
                gone.flatten().tolist(), data_samples):
            self.results.append((chosen_share(scores, one_class(sample, self)),
                                 chosen_share(scores,
                                              one_class(sample, self,
                                                        'pred')), share))

    def compute_metrics(self, results: list[tuple]) -> dict:
        """Average over the images."""
        right, same, margin = (100 * sum(values) / len(values)
                               for values in zip(*results))
        return dict(
            top1=right,
            same=same,
            margin=margin,
            chance=100 / self.model.head.num_classes)


def chosen_share(scores: Tensor | np.ndarray, label: int) -> float:
    """How likely a class is chosen by scores (C, ) from 0 to 1, by lot among
    those that are as good as the best, up to rounding."""
    scores = np.asarray(scores)
    best = highest_cells(np.minimum(scores, (1 - 1e-5) * scores.max()))
    return (label in best) / len(best)


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
    the class, its logit where several can be true, as scores soon round to 1.

    Args:
        model: ``INTRClassifier``, or mmpretrain's ``ImageClassifier`` with an
            ``INTRHead``, in eval mode.
        inputs: B images (3, h, w), not normalised.
        classes: The class (B, ) whose score is watched.
        order: ``'least'`` or ``'most'``.

    Returns:
        The heads (B, heads), from 0, in the order of their replacement; and
        the log-odds (B, heads + 1) with none, one and so on, and all heads
        replaced, of which the sigmoid is the score.

    Raises:
        ValueError: If ``order`` is unknown.
    """
    _check_order(order, 'select_heads')
    _, decoded = explain_batch(model, inputs)
    own = model.head.maps(decoded)  # (B, Q, heads, H, W)
    even = model.head.even_maps(decoded)  # (B, 1, 1, H, W)
    device, num_heads = own.device, own.size(2)
    index = classes.to(device)[:, None]

    def score(replaced: Tensor) -> Tensor:
        maps = torch.where(replaced[:, None, :, None, None], even, own)
        logits = model.head.rescore(decoded, maps).float()  # (B, C)
        if model.head.multi_label:
            return logits.gather(1, index).squeeze(1)
        rivals = logits.scatter(1, index, -torch.inf).logsumexp(1)
        return logits.gather(1, index).squeeze(1) - rivals

    sign = 1 if order == 'least' else -1
    replaced = torch.zeros(
        len(classes), num_heads, dtype=torch.bool, device=device)
    steps, curve = [], [score(replaced)]
    one_each = torch.eye(num_heads, device=device).bool()
    for _ in range(num_heads):
        scores = torch.stack([score(replaced | one) for one in one_each], 1)
        # Replaced heads are no candidates.
        scores = (sign * scores).masked_fill(replaced, -torch.inf)
        best, step = scores.max(1)
        replaced = replaced | one_each[step]
        steps.append(step)
        curve.append(sign * best)
    return torch.stack(steps, 1), torch.stack(curve, 1)


def rank_heads(model: nn.Module, batches: Iterable[Sequence[Tensor]],
               label: int) -> list[int]:
    """Heads in the order in which a class needs them over images.

    Args:
        model: See :func:`select_heads`.
        batches: Lists of images (3, h, w), not normalised.
        label: The class.

    Returns:
        The heads, from 0, those first that :func:`select_heads` replaces last
        in the mean of all images; of a head that gives evidence, which says
        it itself, those that add most to the class's logit.
    """
    needs = []
    for inputs in batches:
        if model.head.gives_evidence:
            samples, _ = explain_batch(model, inputs, classes=[label])
            needs += [
                sample.attention_evidence[0].sum((-2, -1)).cpu()
                for sample in samples
            ]
        else:
            labels = torch.full((len(inputs), ), label)
            steps, _ = select_heads(model, inputs, labels, 'least')
            needs += steps.argsort(1).cpu()
    mean = torch.stack(needs).float().mean(0)
    return mean.argsort(descending=True, stable=True).tolist()


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
        **kwargs: Those of :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix: str | None = 'head_selection'

    def __init__(self, order: str = 'least', **kwargs) -> None:
        super().__init__(**kwargs)
        _check_order(order, type(self).__name__)
        self.order = order

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Replace the heads of each image.

        Raises:
            RuntimeError: If the metric was not prepared.
        """
        labels = torch.tensor([one_class(s, self) for s in data_samples])
        steps, curves = select_heads(self.model, self.images(data_batch),
                                     labels, self.order)
        self.results.extend(zip(steps.cpu().numpy(), curves.cpu().numpy()))

    def compute_metrics(self, results: list[tuple]) -> dict:
        """Average over the images."""
        steps, curves = (np.stack(values) for values in zip(*results))
        curve = 100 * expit(curves.astype(np.float64)).mean(0)
        metrics = {f'score_{n}': float(v) for n, v in enumerate(curve)}
        for n, value in enumerate(curves.mean(0, dtype=np.float64)):
            metrics[f'log_odds_{n}'] = float(value)
        metrics['area'] = float((curve[1:] + curve[:-1]).mean() / 2)
        for i in range(steps.shape[1]):
            for name, step in (('first', 0), ('last', -1)):
                metrics[f'head{i}_{name}'] = 100 * float(
                    (steps[:, step] == i).mean())
        return metrics


def _check_order(order: str, user: str) -> None:
    if order not in _ORDERS:
        raise ValueError(f"{user} got order={order!r}: use 'least' or 'most'.")
