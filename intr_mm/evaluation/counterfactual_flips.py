from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS

from intr_mm.structures import CellGeometry
from .base import check_not_flipped, class_maps, highest_cells, one_class


@METRICS.register_module()
class CounterfactualFlips(BaseMetric):
    """How often repainting a part flips the prediction as it should.

    Of the pairs whose original is classified correctly: the share whose
    repainted version is given exactly the label it was repainted to. Needs a
    data set of pairs, as ``RingSpecies(counterfactual=True)``, with
    ``pair_id`` and ``repainted`` in the ``meta_keys`` of ``PackInputs``.

    Reports ``flips`` in percent (NaN where no original is correct) and
    ``counted``, the number of pairs with a correct original. With a
    ``stride``, also ``pointing``: for how many percent of the same originals
    the attention of the true class peaks on the part that is repainted. The
    gap between the two is what attention does not tell of the decision.

    Args:
        stride: Pixels of the network input from one cell of the attached
            attention to the next, which the samples then have to carry beside
            ``part_mask`` and ``telling_parts``, as for :class:`PointingGame`.
        offset: Pixel of the network input on which the first cell is centred.
        **kwargs: Those of :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix: str | None = 'counterfactual'

    def __init__(self,
                 stride: float | None = None,
                 offset: float = 0,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        self.geometry = stride and CellGeometry(stride, offset)

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Note whether each prediction is correct.

        Raises:
            ValueError: If a sample lacks a key, or has a mask and was flipped.
        """
        for sample in data_samples:
            for key in ('pair_id', 'repainted'):
                if key not in sample:
                    raise ValueError(
                        f"CounterfactualFlips finds no '{key}' in a sample: "
                        'use RingSpecies(counterfactual=True) and list '
                        "'pair_id' and 'repainted' in the meta_keys of "
                        'PackInputs.')
            label = one_class(sample, self)
            result = dict(
                pair_id=sample['pair_id'],
                repainted=sample['repainted'],
                label=label,
                correct=one_class(sample, self, 'pred') == label)
            if self.geometry:
                result['looked_at'] = self._looked_at(sample)
                result['telling'] = set(sample['telling_parts'])
            self.results.append(result)

    def _looked_at(self, sample: dict) -> list[int]:
        """The mask's value where the attention of the true class peaks, or
        its values at all cells that are equally high."""
        check_not_flipped(sample, 'part_mask', self)
        heat = class_maps(sample, one_class(sample, self),
                          type(self).__name__).mean(0).cpu().numpy()
        mask = np.asarray(sample['part_mask'])
        peak = np.unravel_index(highest_cells(heat), heat.shape)
        pixel = tuple(
            self.geometry.centres(*sizes)[place] for place, *sizes in zip(
                peak, heat.shape, sample['img_shape'], mask.shape))
        return mask[pixel].tolist()

    def compute_metrics(self, results: list[dict]) -> dict:
        """Compute the share of flips.

        Raises:
            ValueError: If a pair is incomplete, or there are two of a number.
        """
        pairs = {}
        for r in results:
            # a distributed run may repeat samples, which then agree
            if pairs.setdefault((r['pair_id'], r['repainted']), r) != r:
                raise ValueError(
                    f'CounterfactualFlips got two pairs {r["pair_id"]} that '
                    'differ, as of two data sets: evaluate them one by one.')
        flips, pointed = [], []
        for pair_id in sorted({r['pair_id'] for r in results}):
            versions = [(pair_id, False), (pair_id, True)]
            if any(version not in pairs for version in versions):
                raise ValueError(
                    f'CounterfactualFlips got one version of pair {pair_id} '
                    'alone: set counterfactual=True in the data set and use '
                    'an even number of its samples.')
            original, repainted = (pairs[version] for version in versions)
            if original['correct']:
                flips.append(repainted['correct'])
                if self.geometry:
                    # Neighbours on the ring tell by one part in common, the
                    # one in which they differ.
                    differs = original['telling'] & repainted['telling']
                    looked_at = original['looked_at']
                    pointed.append(
                        sum(part in differs
                            for part in looked_at) / len(looked_at))
        figures = dict(flips=_percent(flips), counted=len(flips))
        if self.geometry:
            figures['pointing'] = _percent(pointed)
        return figures


def _percent(values: list[float]) -> float:
    return 100 * sum(values) / len(values) if values else float('nan')
