from typing import List, Optional, Sequence

from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS


@METRICS.register_module()
class CounterfactualFlips(BaseMetric):
    """How often repainting a part flips the prediction as it should.

    Of the pairs whose original is classified correctly: the share whose
    repainted version is given exactly the label it was repainted to. Needs a
    data set of pairs, as ``RingSpecies(counterfactual=True)``, with
    ``pair_id`` and ``repainted`` in the ``meta_keys`` of ``PackInputs``.

    Reports ``flips`` in percent (NaN where no original is correct) and
    ``counted``, the number of pairs with a correct original.

    Args:
        collect_device (str): Device for collecting results from different
            ranks, 'cpu' or 'gpu'. Defaults to 'cpu'.
        prefix (str, optional): Prefix of the names of the figures. Defaults
            to None, which stands for ``'counterfactual'``.
    """

    default_prefix: Optional[str] = 'counterfactual'

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Note whether each prediction is correct.

        Args:
            data_batch: Not used.
            data_samples (Sequence[dict]): Predictions of the model.
        """
        for sample in data_samples:
            for key in ('pair_id', 'repainted'):
                if key not in sample:
                    raise ValueError(
                        f"CounterfactualFlips finds no '{key}' in a sample: "
                        'use RingSpecies(counterfactual=True) and list '
                        "'pair_id' and 'repainted' in the meta_keys of "
                        'PackInputs.')
            self.results.append(
                dict(
                    pair_id=sample['pair_id'],
                    repainted=sample['repainted'],
                    correct=int(sample['pred_label']) == int(
                        sample['gt_label'])))

    def compute_metrics(self, results: List[dict]) -> dict:
        """Compute the share of flips.

        Args:
            results (list[dict]): Correctness of each version of each pair.

        Returns:
            dict: ``flips`` and ``counted``.
        """
        correct = {
            (r['pair_id'], r['repainted']): r['correct']
            for r in results
        }
        flips = []
        for pair_id in sorted({r['pair_id'] for r in results}):
            versions = [(pair_id, False), (pair_id, True)]
            if any(version not in correct for version in versions):
                raise ValueError(
                    f'CounterfactualFlips got one version of pair {pair_id} '
                    'alone: set counterfactual=True in the data set and use '
                    'an even number of its samples.')
            if correct[pair_id, False]:
                flips.append(correct[pair_id, True])
        rate = 100 * sum(flips) / len(flips) if flips else float('nan')
        return dict(flips=rate, counted=len(flips))
