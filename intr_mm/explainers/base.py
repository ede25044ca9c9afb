from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from mmengine.utils import get_object_from_string
from mmpretrain.registry import TASK_UTILS
from torch import Tensor, nn

from intr_mm.structures import CellGeometry, Explanation


class BaseExplainer(metaclass=ABCMeta):
    """Says of images which places matter to a model for one class.

    Explainers are registered in ``mmpretrain.registry.TASK_UTILS`` and named
    in the configs of the metrics that evaluate them.
    """

    @abstractmethod
    def names(self, model: nn.Module) -> list[str]:
        """One name for each of the M maps of an image."""

    @abstractmethod
    def __call__(self, model: nn.Module, inputs: Sequence[Tensor],
                 classes: Tensor) -> list[Explanation]:
        """Explain a batch.

        Args:
            model: The classifier, in eval mode.
            inputs: B images as the pipeline gives them, (3, h, w), 0 to 255,
                not normalised.
            classes: The class (B, ) to explain in each image.

        Returns:
            For each image an explanation with maps (M, h, w).
        """


@TASK_UTILS.register_module()
class FunctionExplainer(BaseExplainer):
    """Maps of any function, under the protocol of all others.

    Args:
        function: Called with the model, the images and the classes as
            :class:`BaseExplainer` is; returns for each image a map (h, w) on
            the pixels of the network's input. In a config, its dotted name.
        name: Name of the map.
    """

    def __init__(self,
                 function: Callable | str,
                 name: str = 'function') -> None:
        if isinstance(function, str):
            dotted, function = function, get_object_from_string(function)
            if function is None:
                raise ImportError(f"FunctionExplainer finds no '{dotted}': "
                                  'give the dotted name of a function.')
        self.function = function
        self.name = name

    def names(self, model: nn.Module) -> list[str]:
        """See :class:`BaseExplainer`."""
        return [self.name]

    def __call__(self, model: nn.Module, inputs: Sequence[Tensor],
                 classes: Tensor) -> list[Explanation]:
        """See :class:`BaseExplainer`."""
        explained = []
        for map_, image in zip(self.function(model, inputs, classes), inputs):
            map_ = np.asarray(map_, dtype=np.float32)
            shape = tuple(image.shape[-2:])
            if map_.shape != shape:
                raise ValueError(
                    f"The function of the explainer '{self.name}' gave a map "
                    f'of {map_.shape} for an image of {shape} pixels: give '
                    'one value for each pixel.')
            explained.append(
                Explanation(map_[None], CellGeometry(1, 0), shape))
        return explained
