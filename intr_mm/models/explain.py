"""Where classes look in a batch of images, from one pass of the model."""
from collections.abc import Sequence
from contextlib import nullcontext

import torch
import torch.nn as nn
from mmpretrain.structures import DataSample
from torch import Tensor

from intr_mm.structures import trace_cells
from .base_head import BaseExplainingHead, Decoded
from .padding import cut_padding, make_padding_mask


def prepare_images(
    model: nn.Module,
    inputs: Sequence[Tensor],
    data_samples: list[DataSample] | None = None
) -> tuple[Tensor, list[DataSample]]:
    """Normalise and pad images, whatever the model's preprocessor.

    Args:
        model: The classifier.
        inputs: B images (3, h, w) as the pipeline gives them, 0 to 255.
        data_samples: Filled and returned, by default new ones.

    Returns:
        Images (B, 3, H, W), and samples that know the images' sizes, see
        :func:`make_padding_mask`.
    """
    if data_samples is None:
        data_samples = [DataSample() for _ in inputs]
    shapes = [tuple(image.shape[-2:]) for image in inputs]
    data = model.data_preprocessor(
        dict(inputs=list(inputs), data_samples=data_samples))
    images, samples = data['inputs'], data['data_samples']
    for sample, shape in zip(samples, shapes):
        sample.set_metainfo(
            dict(img_shape=shape, batch_input_shape=tuple(images.shape[-2:])))
    return images, samples


@torch.no_grad()
def explain_batch(
    model: nn.Module,
    inputs: Sequence[Tensor],
    data_samples: list[DataSample] | None = None,
    classes: Sequence[str | int] | Tensor | None = None,
    layers: Sequence[int] = (-1, ),
    memory: bool = False,
) -> tuple[list[DataSample], Decoded]:
    """Predict a batch, and say where classes looked.

    Padding is masked whatever the classifier.

    Args:
        model: :class:`INTRClassifier`, or mmpretrain's ``ImageClassifier``,
            with a :class:`BaseExplainingHead`, in eval mode.
        inputs: B images (3, h, w) as the pipeline gives them, 0 to 255.
        data_samples: Filled and returned, by default new ones.
        classes: Whose maps to give, K for each image: indices (B, K), or see
            :func:`select_classes`. None gives predictions alone.
        layers: L decoder layers.
        memory: Whether to add :meth:`BaseExplainingHead.memory_norms`.

    Returns:
        Predictions, see :meth:`BaseExplainingHead.predict`; with ``classes``
        they have ``attention`` (L, K, heads, h, w) without the cells that are
        padding, ``attention_classes`` (K, ), what else
        :meth:`BaseExplainingHead.add_maps` gives, where the cells lie as the
        metainfo ``geometry``, and on request ``memory`` (L, 1 + heads, h, w).
        And what the head decoded, from which it gives further maps and scores.

    Raises:
        TypeError: If the model's head cannot explain.
        ValueError: If the model is in training mode, or the cells cannot be
            placed on the image.
    """
    if model.training:
        raise ValueError(
            f'{type(model).__name__} is in training mode, in which dropout '
            'and batch statistics change what it says: call model.eval().')
    head = getattr(model, 'head', None)
    if not isinstance(head, BaseExplainingHead):
        raise TypeError(
            f'Maps need a model with an INTRHead, but {type(model).__name__} '
            'has none: take one of INTRInferencer.list_models(), or give the '
            'config head=dict(type="INTRHead").')
    images, samples = prepare_images(model, inputs, data_samples)
    # Traced modules are called one by one, which a compiled backbone is not.
    tracing = nullcontext() if classes is None else trace_cells(model)
    with tracing as cells:
        if hasattr(model, 'decode'):  # INTRClassifier and ExportedClassifier
            decoded = model.decode(
                images, samples, layers, maps=classes is not None)
        else:
            grid = head.pre_logits(model.extract_feat(images))
            decoded = head.decode(grid, make_padding_mask(samples, grid),
                                  layers)
    if classes is None:
        return head.predict_decoded(decoded, samples), decoded
    request = dict(classes=classes, layer=layers, even=True)
    samples = head.predict_decoded(decoded, samples, dict(attention=request))
    # of each image (D, h, w)
    valid = cut_padding(decoded.memory, decoded.padding_mask)
    for sample, of_image in zip(samples, valid):
        sample.set_metainfo(dict(geometry=cells.of_sample(sample)))
        if memory:
            norms = [head.memory_norms(of_image[None], i)[0] for i in layers]
            sample.set_field(torch.stack(norms), 'memory')
    return samples, decoded
