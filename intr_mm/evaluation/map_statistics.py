"""What maps are like: how sharp, and how different among heads and classes."""
import math
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS
from torch import Tensor

from .base import class_maps, one_class


def shares(maps: Tensor) -> Tensor:
    """Let maps (..., N), not negative, each sum to 1; one of zeros, which
    found nothing, becomes even."""
    mass = maps.sum(-1, keepdim=True)
    return torch.where(mass > 0, maps / mass, 1 / maps.size(-1))


def entropy(maps: Tensor) -> Tensor:
    """Shannon entropy of attention maps, each brought to a sum of 1.

    Args:
        maps: Shape (..., N), not negative.

    Returns:
        Shape (...), in nats, 0 to log(N).
    """
    return torch.special.entr(shares(maps)).sum(-1)


def js_divergence(maps: Tensor, others: Tensor) -> Tensor:
    """Jensen-Shannon divergence, from `Divergence measures based on the
    Shannon entropy <https://doi.org/10.1109/18.61115>`_ (1991), of maps
    brought to a sum of 1.

    Args:
        maps: Shape (..., N), not negative.
        others: The same, of a shape that broadcasts.

    Returns:
        Shape (...), in bits: 0 for equal maps, 1 for maps that share no cell.
    """
    maps, others = shares(maps), shares(others)
    nats = entropy((maps + others) / 2) - (entropy(maps) + entropy(others)) / 2
    # Rounding makes it slightly negative for equal maps.
    return nats.clamp(min=0) / math.log(2)


@METRICS.register_module()
class HeadDiversity(BaseMetric):
    r"""How sharply each head of a class looks, and how differently they do.

    INTR's heads are meant to look at different parts of an object, see the
    section on multi-head attention in `A Simple Interpretable Transformer
    <https://arxiv.org/abs/2311.04157>`_ (ICLR 2024). Reported are the means
    over the images of

    - ``entropy``: entropy of a head's map in percent of that of an even map,
      mean over the heads. ``head{i}_entropy`` is that of one head.
    - ``effective_cells``: the number :math:`\exp(H)` of cells over which an
      even map has the same entropy H, mean over the heads.
      ``head{i}_effective_cells`` is that of one head.
    - ``diversity``: Jensen-Shannon divergence of two heads' maps, mean over
      all pairs of heads: 0 percent if all look alike, 100 if no two share a
      cell. NaN with one head. That heads disagree in where they look was
      asked for in `Multi-Head Attention with Disagreement Regularization
      <https://arxiv.org/abs/1810.10183>`_ (EMNLP 2018), which compares their
      maps by a product.

    The model has to attach ``attention`` (K, heads, h, w) and
    ``attention_classes`` (K, ) to its predictions, with the asked class.

    Args:
        label: Whose maps: ``'gt'``, the true class, or ``'pred'``, the
            predicted one.
        **kwargs: Those of :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix: str | None = 'heads'

    def __init__(self, label: str = 'gt', **kwargs) -> None:
        super().__init__(**kwargs)
        if label not in ('gt', 'pred'):
            raise ValueError(
                f"HeadDiversity got label={label!r}: use 'gt' or 'pred'.")
        self.label = label

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Compare the heads' maps of each sample.

        Raises:
            ValueError: If a sample carries no map of the asked class.
        """
        for sample in data_samples:
            label = one_class(sample, self, self.label)
            maps = class_maps(sample, label, type(self).__name__, self.label)
            maps = maps.flatten(1)
            nats = entropy(maps)
            first, second = torch.triu_indices(
                len(maps), len(maps), offset=1, device=maps.device)
            self.results.append(
                dict(
                    entropy=nats.cpu().numpy(),
                    num_cells=maps.size(1),
                    diversity=float(
                        js_divergence(maps[first], maps[second]).mean())))

    def compute_metrics(self, results: list[dict]) -> dict:
        """Average over the samples."""
        nats = np.stack([r['entropy'] for r in results])
        most = np.log([[r['num_cells']] for r in results])
        percent, cells = 100 * nats / most, np.exp(nats)
        metrics = dict(
            entropy=float(percent.mean()),
            effective_cells=float(cells.mean()),
            diversity=100 * float(np.mean([r['diversity'] for r in results])))
        for i in range(nats.shape[1]):
            metrics[f'head{i}_entropy'] = float(percent[:, i].mean())
            metrics[f'head{i}_effective_cells'] = float(cells[:, i].mean())
        return metrics


@METRICS.register_module()
class ClassDistinctness(BaseMetric):
    r"""How much the classes' maps differ on one and the same image.

    INTR scores every class by one and the same vector, so that a class query
    has to look elsewhere, or otherwise, than its rivals to score otherwise;
    see Sec. 3 of `A Simple Interpretable Transformer
    <https://arxiv.org/abs/2311.04157>`_ (ICLR 2024). Where all maps are
    alike, they show what is salient and not what tells the classes apart, and
    the classes differ by their queries' content, which no map shows.

    Reported are the means over the images of the Jensen-Shannon divergence
    between the map of the true class and those of the other attached classes:
    0 percent for equal maps, 100 for maps that share no cell.

    - ``mean_map``: between the means over the heads.
    - ``each_head``: between the maps of the same head, mean over the heads.
    - ``closest``: as ``mean_map``, to the nearest other class alone.

    The model has to attach the maps of the true and of other classes, by
    ``test_cfg=dict(attention=dict(classes=('gt', 'top5')))``. A class that is
    attached twice counts once.
    """

    default_prefix: str | None = 'distinctness'

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Compare the classes' maps of each sample.

        Raises:
            ValueError: If a sample carries no map of the true class, or of no
                other.
        """
        for sample in data_samples:
            label = one_class(sample, self)
            true = class_maps(sample, label, 'ClassDistinctness').flatten(1)
            classes = sample['attention_classes'].tolist()
            others = {c: i for i, c in enumerate(classes) if c != label}
            if not others:
                raise ValueError(
                    'ClassDistinctness compares classes, but the model gave '
                    f'the map of the true class {label} alone: set '
                    'model.test_cfg=dict(attention=dict(classes=('
                    "'gt', 'top5'))).")
            other = sample['attention'][list(others.values())].float()
            other = other.flatten(2)
            mean_map = js_divergence(true.mean(0), other.mean(1))
            self.results.append(
                dict(
                    mean_map=float(mean_map.mean()),
                    each_head=float(js_divergence(true, other).mean()),
                    closest=float(mean_map.min())))

    def compute_metrics(self, results: list[dict]) -> dict:
        """Average over the samples."""
        return {
            key: 100 * float(np.mean([r[key] for r in results]))
            for key in results[0]
        }
