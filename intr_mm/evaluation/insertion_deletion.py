from collections.abc import Sequence

import torch
from mmpretrain.registry import METRICS
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from intr_mm.explainers import CellMaps
from intr_mm.explainers.random_maps import image_rng
from .explanation_metric import ExplanationMetric, rank_pixels


@METRICS.register_module()
class InsertionDeletion(ExplanationMetric):
    """How fast a class's score rises and falls with the places of a map.

    Pixels are taken in the order of the map. *Deletion* replaces them one
    step after the other in the image, *insertion* puts them back into an
    image of which all were replaced. Reported are ``insertion`` (the higher
    the better) and ``deletion`` (the lower the better), the areas in percent
    under the score of the class over the share of pixels, by the trapezoidal
    rule; and ``num_images``. Figures of an explainer with several names carry
    them as ``{name}/``.

    The protocol is that of `RISE <https://arxiv.org/abs/1806.07421>`_ (BMVC
    2018), which deletes to zeros of the normalised image, inserts into a
    blurred one (a Gaussian of 11 pixels and sigma 5), and moves as many
    pixels in a step as the image is wide. Compare figures of one ``steps``.

    It needs :class:`PrepareMetricsHook`.

    Args:
        explainer: Config of the explainer in ``TASK_UTILS``.
        steps: Number of steps.
        deletion_baseline: What replaces pixels in deletion: ``'blank'`` or
            ``'blur'``.
        insertion_baseline: The same in insertion.
        blur: Size and sigma in pixels of the Gaussian.
        target: Class to explain and to watch: ``'pred'``, the predicted, or
            ``'gt'``, the true one.
        sample_interval: Judge every n-th sample of the data set. 1 means all.
        batch_size: Number of changed images that pass the model at once.
        interval: Whether to report ``*_low`` and ``*_high``, the bounds of 95
            percent bootstrap intervals.
        collect_device: Device for collecting results from different ranks,
            'cpu' or 'gpu'.
        prefix: Prefix of the names of the figures. None stands for
            ``'faithfulness'``.
    """

    default_prefix: str | None = 'faithfulness'

    def __init__(self,
                 explainer: dict,
                 steps: int = 16,
                 deletion_baseline: str = 'blank',
                 insertion_baseline: str = 'blur',
                 blur: Sequence[float] = (11, 5),
                 target: str = 'pred',
                 sample_interval: int = 1,
                 batch_size: int = 32,
                 interval: bool = False,
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(explainer, target, sample_interval, batch_size,
                         interval, collect_device, prefix)
        for baseline in (deletion_baseline, insertion_baseline):
            if baseline not in ('blank', 'blur'):
                raise ValueError(f'InsertionDeletion got the baseline '
                                 f"{baseline!r}: use 'blank' or 'blur'.")
        if steps < 1:
            raise ValueError(
                f'InsertionDeletion needs steps >= 1, got {steps}.')
        self.steps = steps
        self.deletion_baseline = deletion_baseline
        self.insertion_baseline = insertion_baseline
        self.blur = blur

    def judge(self, image: Tensor, class_: int,
              cells: CellMaps) -> dict[str, Sequence[float]]:
        """Watch the score of a class; see :class:`ExplanationMetric`."""
        ranks = rank_pixels(cells, image_rng(image, seed=0))
        image = image.float()
        share = torch.linspace(0, 1, self.steps + 1).view(-1, 1, 1, 1)
        away, back = (
            self._baseline(image, kind)
            for kind in (self.deletion_baseline, self.insertion_baseline))
        areas = dict(insertion=[], deletion=[])
        for rank in ranks:
            taken = rank < (share * rank.numel()).round()
            for name, there, elsewhere in (('deletion', away, image),
                                           ('insertion', image, back)):
                scores = self.scores(torch.where(taken, there, elsewhere))
                area = torch.trapezoid(scores[:, class_]) / self.steps
                areas[name].append(100 * float(area))
        return areas

    def _baseline(self, image: Tensor, kind: str) -> Tensor:
        if kind == 'blank':
            return self.blank().expand_as(image)
        size, sigma = self.blur
        return gaussian_blur(image, [int(size)] * 2, [float(sigma)] * 2)
