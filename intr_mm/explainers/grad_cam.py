from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from mmpretrain.registry import TASK_UTILS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from intr_mm.models import prepare_images
from intr_mm.models.padding import cut_padding, make_padding_mask
from intr_mm.structures import Explanation, trace_cells
from .base import BaseExplainer

_NAMES = dict(GradCAM='grad_cam', HiResCAM='hires_cam', FinerCAM='finer_cam')


@TASK_UTILS.register_module()
class GradCAMExplainer(BaseExplainer):
    """Grad-CAM, HiResCAM or Finer-CAM of the same model, by ``grad-cam``.

    `Grad-CAM <https://arxiv.org/abs/1610.02391>`_ (ICCV 2017) weighs the
    channels of a layer by the mean of their gradients over all cells.
    `HiResCAM <https://arxiv.org/abs/2011.08891>`_ (2020) multiplies each cell
    by its own gradient: attention treats cells differently, so that a mean
    over them says little. `Finer-CAM <https://arxiv.org/abs/2501.11309>`_
    (CVPR 2025) explains, not the class's logit, but how far it lies above
    those of the three classes whose logits are nearest. The map stays on the
    cells of the layer, so that they can be placed exactly.

    Args:
        method: ``'GradCAM'``, ``'HiResCAM'`` or ``'FinerCAM'``.
        target_layer: Name of the module whose output, a feature map, is
            weighed, such as ``'backbone.layer4'``. None means the 1x1
            projection between backbone and transformer: the last convolution
            of the network, whatever the backbone.
        base: Whose weights Finer-CAM takes, ``'GradCAM'`` as in its paper or
            ``'HiResCAM'``.
    """

    def __init__(self,
                 method: str = 'GradCAM',
                 target_layer: str | None = None,
                 base: str = 'GradCAM') -> None:
        if method not in _NAMES:
            raise ValueError(f'GradCAMExplainer got method={method!r}: use '
                             "'GradCAM', 'HiResCAM' or 'FinerCAM'.")
        if base not in ('GradCAM', 'HiResCAM'):
            raise ValueError(f'GradCAMExplainer got base={base!r}: use '
                             "'GradCAM' or 'HiResCAM'.")
        self.method = method
        self.base = base if method == 'FinerCAM' else method
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

        class CellCAM(getattr(pytorch_grad_cam, self.base)):
            """A map that is not resized to the image."""

            def get_target_width_height(self, input_tensor: Tensor) -> None:
                return None

        shapes = [image.shape for image in inputs]
        if len(set(shapes)) > 1:
            # The map of an image depends on no other's padding, and a layer
            # of the backbone may see one size at a time.
            return [
                self(model, [image], classes[i:i + 1])[0]
                for i, image in enumerate(inputs)
            ]
        images, samples = prepare_images(model, inputs)
        logits = _Logits(model, samples).eval()
        target = ClassifierOutputTarget
        if self.method == 'FinerCAM':
            target = partial(partial, _lead)
        targets = [target(int(index)) for index in classes]
        layer = self._layer(model)
        with torch.enable_grad(), trace_cells(model) as cells, \
                _constant_parameters(model), \
                layer.register_forward_hook(_start_gradients):
            cam = CellCAM(logits, [layer])
            # Without parameters that need gradients, only the input leads
            # them through the backbone, be it frozen or not. To a layer
            # behind it they need not come from there, which is far cheaper.
            cam.compute_input_gradient = layer in {*model.backbone.modules()}
            try:
                maps = torch.from_numpy(cam(images, targets))[:, None]
            finally:
                cam.activations_and_grads.release()
        geometry = cells.geometry(tuple(maps.shape[-2:]))
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


def _lead(index: int, logits: Tensor) -> Tensor:
    """How far a logit of (C, ) lies above the mean, weighted by the softmax,
    of the three nearest.

    The package's FinerWeightedTarget gives the same, but its gradient turns
    round where the others' scores fall below the 1e-9 it adds to their sum.
    """
    distance = (logits - logits[index]).abs().detach()
    distance[index] = torch.inf
    others = logits[distance.topk(min(3, len(logits) - 1), largest=False)[1]]
    return logits[index] - others.softmax(0) @ others


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


def _start_gradients(layer: nn.Module, args: tuple, output: Tensor) -> Tensor:
    return output if output.requires_grad else output.requires_grad_()


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
