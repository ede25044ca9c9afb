from collections.abc import Iterable, Sequence
from math import nan

import torch
from mmpretrain.registry import METRICS
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from intr_mm.explainers import image_rng
from intr_mm.models import explain_batch
from intr_mm.structures import Explanation
from .perturbation import PerturbationMetric, rank_cells, rank_pixels


@METRICS.register_module()
class InsertionDeletion(PerturbationMetric):
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

    With ``of='cells'`` the same happens behind the backbone: cells of the
    image's feature map are replaced by those of the blank or blurred image.
    It asks what the transformer reads, and takes the backbone once for each
    of the three instead of twice for each step.

    It needs :class:`PrepareMetricsHook`.

    Args:
        explainer: Config of the explainer in ``TASK_UTILS``.
        steps: Number of steps.
        deletion_baseline: What replaces pixels in deletion: ``'blank'`` or
            ``'blur'``.
        insertion_baseline: The same in insertion.
        blur: Size and sigma in pixels of the Gaussian.
        of: What is replaced, ``'pixels'`` of the image or ``'cells'`` of the
            feature map that the encoder reads.
        curves: Which of the two to follow; each costs as much.
        **kwargs: Others of :class:`PerturbationMetric`.
    """

    default_prefix: str | None = 'faithfulness'

    def __init__(self,
                 explainer: dict,
                 steps: int = 16,
                 deletion_baseline: str = 'blank',
                 insertion_baseline: str = 'blur',
                 blur: Sequence[float] = (11, 5),
                 of: str = 'pixels',
                 curves: Sequence[str] = ('insertion', 'deletion'),
                 **kwargs) -> None:
        super().__init__(explainer, **kwargs)
        if of not in ('pixels', 'cells'):
            raise ValueError(f'InsertionDeletion got of={of!r}: use '
                             "'pixels' or 'cells'.")
        if not curves or not {'insertion', 'deletion'}.issuperset(curves):
            raise ValueError(f'InsertionDeletion got curves={curves!r}: use '
                             "'insertion', 'deletion' or both.")
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
        self.of = of
        self.curves = curves

    def evaluate_image(self, image: Tensor, class_: int,
                       explanation: Explanation) -> dict[str, Sequence[float]]:
        """Watch the score of a class; see :class:`PerturbationMetric`."""
        rng = image_rng(image, seed=0)
        image = image.float()
        pictures = [
            image,
            self._baseline(image, self.deletion_baseline),
            self._baseline(image, self.insertion_baseline)
        ]
        if self.of == 'cells':
            ranks, ask = rank_cells(explanation.maps, rng), self.cell_scores
            pictures = self.cells(torch.stack(pictures), ranks.shape[1:])
            ranks = ranks.to(pictures[0].device)
        else:
            ranks, ask = rank_pixels(explanation, rng), self.scores
        image, away, back = pictures
        share = torch.linspace(0, 1, self.steps + 1).view(-1, 1, 1, 1)
        sides = dict(deletion=(away, image), insertion=(image, back))
        areas = {name: [] for name in self.curves}
        for rank in ranks:
            taken = rank < (share * rank.numel()).round().to(rank.device)
            for name in self.curves:
                scores = ask(torch.where(taken, *sides[name]))
                area = torch.trapezoid(scores[:, class_]) / self.steps
                areas[name].append(100 * float(area))
        return areas

    def _baseline(self, image: Tensor, kind: str) -> Tensor:
        if kind == 'blank':
            return self.blank().expand_as(image)
        size, sigma = self.blur
        return gaussian_blur(image, [int(size)] * 2, [float(sigma)] * 2)


@torch.no_grad()
def compare_deletion(model: nn.Module,
                     batches: Iterable[dict],
                     steps: int = 8) -> tuple[dict, dict]:
    """Deletion in the order of the maps that are shown, beside chance.

    Args:
        model: See :func:`intr_mm.models.explain_batch`.
        batches: Of images, as a dataloader gives them.
        steps: Number of steps.

    Returns:
        Of the maps, and of chance: the mean area of the predicted class, see
        :class:`InsertionDeletion`, as ``value``, the bounds ``low`` and
        ``high`` of its 95 percent interval, and ``num_images``.
    """
    own = 'Evidence' if model.head.gives_evidence else 'Attention'
    metrics = [
        InsertionDeletion(
            dict(type=f'{name}Explainer'),
            steps=steps,
            curves=('deletion', ),
            interval=True) for name in (own, 'Random')
    ]
    for metric in metrics:
        metric.prepare(model)
    for data in batches:
        samples, _ = explain_batch(model, data['inputs'])
        labels = [dict(pred_label=sample.pred_label) for sample in samples]
        for metric in metrics:
            metric.process(data, labels)
    found = [metric.compute_metrics(metric.results) for metric in metrics]
    return tuple(
        dict(
            value=figures.get('deletion', nan),
            low=figures.get('deletion_low', nan),
            high=figures.get('deletion_high', nan),
            num_images=figures['num_images']) for figures in found)
