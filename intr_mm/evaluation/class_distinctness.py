from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS

from .distributions import js_divergence
from .sample_maps import class_maps


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

    Args:
        collect_device: Device for collecting results from different ranks,
            'cpu' or 'gpu'. Defaults to 'cpu'.
        prefix: Prefix of the names of the figures. None stands for
            ``'distinctness'``.
    """

    default_prefix: str | None = 'distinctness'

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Compare the classes' maps of each sample.

        Args:
            data_batch: Not used.
            data_samples: Predictions of the model.

        Raises:
            ValueError: If a sample carries no map of the true class, or of no
                other.
        """
        for sample in data_samples:
            label = int(sample['gt_label'])
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
        """Average over the samples.

        Args:
            results: Divergences of all samples, in bits.

        Returns:
            The figures in percent.
        """
        return {
            key: 100 * float(np.mean([r[key] for r in results]))
            for key in results[0]
        }
