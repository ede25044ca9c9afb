from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmpretrain.registry import METRICS
from torch import Tensor

from intr_mm.explainers import image_rng
from intr_mm.structures import Explanation
from .base import wilson_interval
from .perturbation import PerturbationMetric, rank_pixels


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
        # The model may tell another class than where it was in half precision,
        # or in a padded batch.
        hidden = [image.float()]
        size = max(1, round(self.fraction * height * width))
        for rank in rank_pixels(explanation, rng):
            region = rank < size
            hidden += [
                self._hide(image, region),
                self._hide(image, region.roll(shift, (0, 1)))
            ]
        intact, *found = self.scores(torch.stack(hidden)).argmax(1)
        flips = 100. * (torch.stack(found) != intact)
        return dict(
            flips=flips[::2].tolist(), flips_random=flips[1::2].tolist())

    @staticmethod
    def interval_of(values: Sequence[float]) -> tuple[float, float]:
        """Wilson's, as an image flips or does not."""
        share = sum(values) / len(values) / 100
        low, high = wilson_interval(share, len(values))
        return 100 * low, 100 * high

    def _hide(self, image: Tensor, region: Tensor) -> Tensor:
        if self.fill == 'blank':
            return torch.where(region, self.blank(), image.float())
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        filled = cv2.inpaint(
            pixels.astype(np.uint8),
            region.numpy().astype(np.uint8), 3, cv2.INPAINT_TELEA)
        return torch.from_numpy(filled).permute(2, 0, 1).float()
