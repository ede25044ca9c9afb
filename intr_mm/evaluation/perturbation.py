"""Metrics that change an image where an explainer points, and ask the model
again."""
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from math import nan

import cv2
import numpy as np
import torch
from mmpretrain.registry import METRICS, TASK_UTILS
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from intr_mm.explainers import image_rng
from intr_mm.models import INTRClassifier, explain_batch, prepare_images
from intr_mm.models.padding import cut_padding
from intr_mm.models.utils import last_of
from intr_mm.structures import Explanation
from .base import ModelMetric, bootstrap_interval, one_class


class PerturbationMetric(ModelMetric):
    """Base of metrics that change an image where an explainer points, and ask
    the model again.

    Args:
        explainer: Config of the explainer in ``TASK_UTILS``.
        target: Class to explain: ``'pred'``, the predicted, or ``'gt'``, the
            true one.
        sample_interval: Take every n-th sample of the data set, by its
            ``sample_idx``.
        batch_size: Number of changed images that pass the model at once.
        interval: Whether to report the bounds of 95 percent bootstrap
            intervals over the images, as ``*_low`` and ``*_high``.
        **kwargs: Those of :class:`mmengine.evaluator.BaseMetric`.
    """

    def __init__(self,
                 explainer: dict,
                 target: str = 'pred',
                 sample_interval: int = 1,
                 batch_size: int = 32,
                 interval: bool = False,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        if target not in ('pred', 'gt'):
            raise ValueError(f'{type(self).__name__} got target={target!r}: '
                             "use 'pred' or 'gt'.")
        self.explainer = TASK_UTILS.build(explainer)
        self.target = target
        self.sample_interval = sample_interval
        self.batch_size = batch_size
        self.interval = interval

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Explain the samples whose turn it is, and evaluate each.

        Raises:
            RuntimeError: If the metric was not prepared.
        """
        model = self.model
        asked = [
            i for i, sample in enumerate(data_samples)
            if self._has_its_turn(sample)
        ]
        # One result for each sample, even if empty: by their number, MMEngine
        # tells the repetitions that fill up the batches of several ranks.
        evaluated = [{} for _ in data_samples]
        self.results.extend(evaluated)
        if not asked:
            return
        inputs = self.images(data_batch)
        images = [inputs[i] for i in asked]
        classes = [
            one_class(data_samples[i], self, self.target) for i in asked
        ]
        explained = self.explainer(model, images, torch.tensor(classes))
        names = self.explainer.names(model)
        for i, image, class_, explanation in zip(asked, images, classes,
                                                 explained):
            figures = self.evaluate_image(image.cpu(), class_, explanation)
            evaluated[i].update({
                f'{name}/{key}' if len(names) > 1 else key:
                value
                for key, values in figures.items()
                for name, value in zip(names, values)
            })

    def _has_its_turn(self, sample: dict) -> bool:
        if self.sample_interval == 1:
            return True
        if 'sample_idx' not in sample:
            raise ValueError(
                f"{type(self).__name__} finds no 'sample_idx' in a sample: "
                'list it in the meta_keys of PackInputs, or take all samples '
                'with sample_interval=1.')
        return sample['sample_idx'] % self.sample_interval == 0

    @abstractmethod
    def evaluate_image(self, image: Tensor, class_: int,
                       explanation: Explanation) -> dict:
        """Evaluate the maps of one image."""

    @torch.no_grad()
    def scores(self, images: Tensor) -> Tensor:
        """Ask the model.

        Args:
            images: N images (N, 3, h, w), not normalised.

        Returns:
            Softmax scores (N, C) on the CPU.
        """
        scores = []
        for chunk in images.split(self.batch_size):
            logits = self.model(
                *prepare_images(self.model, chunk), mode='tensor')
            scores.append(logits.float().softmax(-1).cpu())
        return torch.cat(scores)

    @torch.no_grad()
    def cells(self, images: Tensor, grid: tuple[int, int]) -> list[Tensor]:
        """What the encoder reads of images.

        Args:
            images: N images of one size (N, 3, H, W), not normalised.
            grid: Height and width (h, w) of the map that ranks the cells.

        Returns:
            Of each image its feature map (C_in, h, w), without padding.

        Raises:
            TypeError: If the model is no :class:`INTRClassifier`.
            ValueError: If the cells of the map are not those.
        """
        model = self.model
        if not isinstance(model, INTRClassifier):
            raise TypeError(
                f"{type(self).__name__} changes cells of an INTRClassifier's "
                f"feature map, but the model is {type(model).__name__}: set "
                "of='pixels'.")
        feats, mask = model.padded_maps(
            *prepare_images(model, images), store=True)
        cells = cut_padding(last_of(feats), mask)
        found = tuple(cells[0].shape[-2:])
        if tuple(grid) != found:
            raise ValueError(
                f'{type(self).__name__} changes the {found} cells that the '
                f"encoder reads, but the map has {tuple(grid)}: set "
                "of='pixels'.")
        return cells

    @torch.no_grad()
    def cell_scores(self, cells: Tensor) -> Tensor:
        """Ask the model about feature maps.

        Args:
            cells: N maps (N, C_in, h, w), as the encoder reads them.

        Returns:
            Softmax scores (N, C) on the CPU.
        """
        scores = []
        for chunk in cells.split(self.batch_size):
            tokens, *_ = self.model.encode((chunk, ), None, False)
            scores.append(self.model.head(tokens).float().softmax(-1).cpu())
        return torch.cat(scores)

    def blank(self) -> Tensor:
        """The colour (3, 1, 1) that normalisation turns into zero."""
        preprocessor = self.model.data_preprocessor
        if not getattr(preprocessor, '_enable_normalize', False):
            return torch.zeros(3, 1, 1)
        mean = preprocessor.mean.cpu().view(3, 1, 1)
        return mean.flip(0) if preprocessor.to_rgb else mean

    def compute_metrics(self, results: list[dict]) -> dict:
        """Average over the images."""
        results = [result for result in results if result]
        metrics = dict(num_images=len(results))
        for key in results[0] if results else ():
            values = [result[key] for result in results]
            metrics[key] = sum(values) / len(values)
            if self.interval:
                low, high = bootstrap_interval(values)
                metrics.update({f'{key}_low': low, f'{key}_high': high})
        return metrics


def rank_pixels(explanation: Explanation, rng: np.random.Generator) -> Tensor:
    """Order the pixels of the network's input by maps.

    Equal pixels, such as all on which Grad-CAM is zero, are ordered at random.
    In the order of their rows, they would favour an edge of the image.

    Args:
        explanation: Maps (M, ...) of one image.
        rng: Orders equal pixels.

    Returns:
        Of shape (M, h, w), the place of each pixel in the order, 0 for the
        highest.
    """
    return _rank(explanation.on_pixels(explanation.img_shape), rng)


def _rank(maps: np.ndarray, rng: np.random.Generator) -> Tensor:
    heat = torch.from_numpy(maps).flatten(1)  # (M, h * w)
    mixed = torch.from_numpy(rng.permutation(heat.shape[1]))
    order = mixed[heat[:, mixed].argsort(descending=True, stable=True)]
    return order.argsort().view(maps.shape)


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
            ranks, ask = _rank(explanation.maps, rng), self.cell_scores
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


@METRICS.register_module()
class RegionBlanking(PerturbationMetric):
    """How often hiding the region that a map points to flips the prediction.

    The ``fraction`` of the pixels that the map ranks highest is hidden.
    Reported in percent: ``flips``, the share of images whose predicted class
    changes; its control ``flips_random``, the same for a region of the same
    shape and size elsewhere, the first one shifted by a random distance
    around the edges; and ``num_images``. Figures of an explainer with several
    names carry them as ``{name}/``.

    What attention points to need not be what the prediction rests on
    (`Attention is not Explanation <https://arxiv.org/abs/1902.10186>`_, NAACL
    2019); this asks the model itself. It needs :class:`PrepareMetricsHook`.

    Args:
        explainer: Config of the explainer in ``TASK_UTILS``.
        fraction: Share of the pixels to hide.
        fill: ``'blank'`` hides under the colour that normalisation turns into
            zero, ``'inpaint'`` continues the surroundings (Telea's method in
            OpenCV).
        seed: Seed of the shifts, which depend on the image besides.
        **kwargs: Others of :class:`PerturbationMetric`, but for ``target``.
    """

    default_prefix: str | None = 'blanking'

    def __init__(self,
                 explainer: dict,
                 fraction: float = .1,
                 fill: str = 'blank',
                 seed: int = 0,
                 **kwargs) -> None:
        super().__init__(explainer, target='pred', **kwargs)
        if not 0 < fraction < 1:
            raise ValueError('RegionBlanking needs a fraction between 0 and '
                             f'1, got {fraction}.')
        if fill not in ('blank', 'inpaint'):
            raise ValueError(f"RegionBlanking got fill={fill!r}: use 'blank' "
                             "or 'inpaint'.")
        self.fraction = fraction
        self.fill = fill
        self.seed = seed

    def evaluate_image(self, image: Tensor, class_: int,
                       explanation: Explanation) -> dict[str, Sequence[float]]:
        """Hide regions and predict; see :class:`PerturbationMetric`."""
        height, width = explanation.img_shape
        rng = image_rng(image, self.seed)
        shift = (int(rng.integers(height)), int(rng.integers(1, width)))
        hidden = []
        size = max(1, round(self.fraction * height * width))
        for rank in rank_pixels(explanation, rng):
            region = rank < size
            hidden += [
                self._hide(image, region),
                self._hide(image, region.roll(shift, (0, 1)))
            ]
        flips = 100. * (self.scores(torch.stack(hidden)).argmax(1) != class_)
        return dict(
            flips=flips[::2].tolist(), flips_random=flips[1::2].tolist())

    def _hide(self, image: Tensor, region: Tensor) -> Tensor:
        if self.fill == 'blank':
            return torch.where(region, self.blank(), image.float())
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        filled = cv2.inpaint(
            pixels.astype(np.uint8),
            region.numpy().astype(np.uint8), 3, cv2.INPAINT_TELEA)
        return torch.from_numpy(filled).permute(2, 0, 1).float()
