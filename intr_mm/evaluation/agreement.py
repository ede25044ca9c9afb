from collections.abc import Sequence

from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS

from .base import one_class


@METRICS.register_module()
class Agreement(BaseMetric):
    """How often a head answers as the head that it has learned from.

    Reports in percent ``agreement``, the images on which both predict the same
    class, and ``top1`` of the teacher. Predictions have to carry
    ``teacher_label``, as those of ``EvidenceHead(distill=True)`` do.
    """

    default_prefix: str | None = 'teacher'

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Compare the predictions of each sample.

        Raises:
            ValueError: If a sample carries no label of a teacher.
        """
        for sample in data_samples:
            if 'teacher_label' not in sample:
                raise ValueError(
                    "Agreement finds no 'teacher_label' in a sample: it is "
                    'for heads that learn from another, such as '
                    'EvidenceHead(distill=True).')
            teacher = int(sample['teacher_label'])
            self.results.append((teacher == one_class(sample, self, 'pred'),
                                 teacher == one_class(sample, self)))

    def compute_metrics(self, results: list[tuple]) -> dict:
        """Average over the images."""
        same, right = (100 * sum(values) / len(values)
                       for values in zip(*results))
        return dict(agreement=same, top1=right)
