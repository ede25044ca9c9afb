from abc import ABCMeta, abstractmethod
from dataclasses import dataclass
from typing import List, Sequence, Tuple

import numpy as np
from torch import Tensor, nn

from intr_mm.visualization import CellGeometry


@dataclass
class CellMaps:
    """What an explainer says of one image.

    Args:
        maps (np.ndarray): float32 of shape (M, h, w), the higher the more
            important, on the cells that are not padding. M is the number of
            the explainer's names.
        geometry (CellGeometry): Where the cells lie on the network's input;
            stride 1 and offset 0 if they are its pixels.
        img_shape (tuple[int, int]): Height and width in pixels of the
            network's input without padding.
    """
    maps: np.ndarray
    geometry: CellGeometry
    img_shape: Tuple[int, int]


class BaseExplainer(metaclass=ABCMeta):
    """Says of images which places matter to a model for one class.

    Explainers are registered in ``mmpretrain.registry.TASK_UTILS`` and named
    in the configs of the metrics that judge them.
    """

    @abstractmethod
    def names(self, model: nn.Module) -> List[str]:
        """Name the maps.

        Args:
            model (nn.Module): The classifier.

        Returns:
            list[str]: One name for each of the M maps of an image.
        """

    @abstractmethod
    def __call__(self, model: nn.Module, inputs: Sequence[Tensor],
                 classes: Tensor) -> List[CellMaps]:
        """Explain a batch.

        Args:
            model (nn.Module): The classifier, in eval mode.
            inputs (Sequence[Tensor]): B images as the pipeline gives them,
                (3, h, w), 0 to 255, not normalised.
            classes (Tensor): The class (B, ) to explain in each image.

        Returns:
            list[CellMaps]: One for each image.
        """
