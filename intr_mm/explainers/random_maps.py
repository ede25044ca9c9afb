import zlib
from collections.abc import Sequence

import numpy as np
from mmpretrain.registry import TASK_UTILS
from torch import Tensor, nn

from .attention import AttentionExplainer
from .base import CellMaps


@TASK_UTILS.register_module()
class RandomExplainer(AttentionExplainer):
    """Chance: even noise on the cells that attention has.

    The noise of an image depends on its pixels and the seed alone.

    Args:
        seed: Seed of the noise.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed

    def names(self, model: nn.Module) -> list[str]:
        """See :class:`BaseExplainer`."""
        return ['chance']

    def __call__(self, model: nn.Module, inputs: Sequence[Tensor],
                 classes: Tensor) -> list[CellMaps]:
        """See :class:`BaseExplainer`."""
        explained = super().__call__(model, inputs, classes)
        for cells, image in zip(explained, inputs):
            rng = image_rng(image, self.seed)
            cells.maps = rng.random(cells.maps.shape, dtype=np.float32)
        return explained


def image_rng(image: Tensor, seed: int) -> np.random.Generator:
    """Random numbers that depend on an image, not on its place in a batch.

    Args:
        image: The image.
        seed: Seed beside the image.

    Returns:
        The generator.
    """
    pixels = zlib.crc32(np.ascontiguousarray(image.cpu().numpy()))
    return np.random.default_rng([pixels, seed])
