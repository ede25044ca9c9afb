from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from mmpretrain.registry import TASK_UTILS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from intr_mm.models import prepare_images
from intr_mm.models.utils import cut_padding, make_padding_mask
from intr_mm.structures import Explanation, trace_cells
from .base import BaseExplainer

_NAMES = dict(GradCAM='grad_cam', HiResCAM='hires_cam')


@TASK_UTILS.register_module()
class GradCAMExplainer(BaseExplainer):
    """Grad-CAM or HiResCAM of the same model, by the package ``grad-cam``.

    `Grad-CAM <https://arxiv.org/abs/1610.02391>`_ (ICCV 2017) weighs the
    channels of a layer by the mean of their gradients over all cells.
    `HiResCAM <https://arxiv.org/abs/2011.08891>`_ (2020) multiplies each cell
    by its own gradient: attention treats cells differently, so that a mean
    over them says little. The map stays on the cells of the layer, so that
    they can be placed exactly.

    Args:
        method: ``'GradCAM'`` or ``'HiResCAM'``.
        target_layer: Name of the module whose output, a feature map, is
            weighed, such as ``'backbone.layer4'``. None means the 1x1
            projection between backbone and transformer: the last convolution
            of the network, whatever the backbone.
    """

    def __init__(self,
                 method: str = 'GradCAM',
                 target_layer: str | None = None) -> None:
        if method not in _NAMES:
            raise ValueError(f'GradCAMExplainer got method={method!r}: use '
                             "'GradCAM' or 'HiResCAM'.")
        self.method = method
        self.target_layer = target_layer

    def names(self, model: nn.Module) -> list[str]:
        """See :class:`BaseExplainer`."""
        return [_NAMES[self.method]]

    def __call__(self, model: nn.Module, inputs: Sequence[Tensor],
                 classes: Tensor) -> list[Explanation]:
        """See :class:`BaseExplainer`."""
        try:
            import pytorch_grad_cam
            from pytorch_grad_cam.utils.model_targets import \
                ClassifierOutputTarget
        except ImportError as error:
            raise ImportError('GradCAMExplainer needs the package grad-cam: '
                              'pip install grad-cam.') from error

        class CellCAM(getattr(pytorch_grad_cam, self.method)):
            """A map that is not resized to the image."""

            def get_target_width_height(self, input_tensor: Tensor) -> None:
                return None

        images, samples = prepare_images(model, inputs)
        logits = _Logits(model, samples).eval()
        targets = [ClassifierOutputTarget(int(index)) for index in classes]
        layer = self._layer(model)
        with torch.enable_grad(), trace_cells(model) as cells, \
                _constant_parameters(model):
            cam = CellCAM(logits, [layer])
            # Without parameters that need gradients, only the input leads
            # them through the layer, be it frozen or not.
            cam.compute_input_gradient = True
            try:
                maps = torch.from_numpy(cam(images, targets))[:, None]
            finally:
                cam.activations_and_grads.release()
        geometry = cells[tuple(maps.shape[-2:])]
        valid = cut_padding(maps, make_padding_mask(samples, maps))
        return [
            Explanation(of_image.float().numpy(), geometry,
                        tuple(image.shape[-2:]))
            for of_image, image in zip(valid, inputs)
        ]

    def _layer(self, model: nn.Module) -> nn.Module:
        if self.target_layer is not None:
            try:
                return model.get_submodule(self.target_layer)
            except AttributeError as error:
                raise ValueError(
                    f'GradCAMExplainer finds no layer {self.target_layer!r} '
                    f'in the model ({error}): take a name from '
                    'model.named_modules().') from None
        for part in (model.neck if model.with_neck else None, model.head):
            if getattr(part, 'input_proj', None) is not None:
                return part.input_proj
        raise ValueError('GradCAMExplainer finds no projection in neck or '
                         'head: name the target_layer.')


@contextmanager
def _constant_parameters(model: nn.Module) -> Iterator[None]:
    """Let no gradients add to those that a training has gathered."""
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


class _Logits(nn.Module):
    """The model as Grad-CAM calls it, with images alone."""

    def __init__(self, model: nn.Module, samples: list[DataSample]) -> None:
        super().__init__()
        self.model = model
        self.samples = samples

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images, self.samples, mode='tensor')

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Leave gradients that a training has gathered, unlike Grad-CAM."""
