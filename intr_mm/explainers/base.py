from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from intr_mm.visualization import CellGeometry


@dataclass
class CellMaps:
    """What an explainer says of one image.

    Args:
        maps: float32 of shape (M, h, w), the higher the more important, on the
            cells that are not padding. M is the number of the explainer's
            names.
        geometry: Where the cells lie on the network's input; stride 1 and
            offset 0 if they are its pixels.
        img_shape: Height and width in pixels of the network's input without
            padding.
    """
    maps: np.ndarray
    geometry: CellGeometry
    img_shape: tuple[int, int]


class BaseExplainer(metaclass=ABCMeta):
    """Says of images which places matter to a model for one class.

    Explainers are registered in ``mmpretrain.registry.TASK_UTILS`` and named
    in the configs of the metrics that judge them.
    """

    @abstractmethod
    def names(self, model: nn.Module) -> list[str]:
        """Name the maps.

        Args:
            model: The classifier.

        Returns:
            One name for each of the M maps of an image.
        """

    @abstractmethod
    def __call__(self, model: nn.Module, inputs: Sequence[Tensor],
                 classes: Tensor) -> list[CellMaps]:
        """Explain a batch.

        Args:
            model: The classifier, in eval mode.
            inputs: B images as the pipeline gives them, (3, h, w), 0 to 255,
                not normalised.
            classes: The class (B, ) to explain in each image.

        Returns:
            One for each image.
        """
