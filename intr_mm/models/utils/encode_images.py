from collections.abc import Sequence

import torch.nn as nn
from mmpretrain.structures import DataSample
from torch import Tensor

from .padding import make_padding_mask


def prepare_images(
    model: nn.Module,
    inputs: Sequence[Tensor],
    data_samples: list[DataSample] | None = None
) -> tuple[Tensor, list[DataSample]]:
    """Normalise and pad images, whatever the model's preprocessor.

    Args:
        model: The classifier.
        inputs: B images (3, h, w), not normalised.
        data_samples: Filled and returned. None means new ones.

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


def encode_images(model: nn.Module, images: Tensor,
                  samples: list[DataSample]) -> tuple[Tensor, Tensor | None]:
    """What the classes of a model look at.

    Args:
        model: ``INTRClassifier``, or mmpretrain's ``ImageClassifier`` with an
            ``INTRHead``, which knows no padding.
        images: From :func:`prepare_images`.
        samples: From the same.

    Returns:
        The memory (B, D, H, W) and its padding mask (B, H, W), as the model's
        head receives them.
    """
    if not hasattr(model, 'get_attention'):
        return model.head.pre_logits(model.extract_feat(images)), None
    memory = model.extract_feat(
        images, stage='pre_logits', data_samples=samples)
    return memory, make_padding_mask(samples, memory)


def ask_attention(model: nn.Module, images: Tensor, samples: list[DataSample],
                  **kwargs) -> Tensor:
    """Where classes look, for either kind of classifier.

    Args:
        model: See :func:`encode_images`.
        images: From :func:`prepare_images`.
        samples: From the same.
        **kwargs: Those of :meth:`INTRHead.get_attention` but for the mask.

    Returns:
        See :meth:`INTRHead.get_attention`.
    """
    if hasattr(model, 'get_attention'):
        return model.get_attention(images, samples, **kwargs)
    return model.head.get_attention(model.extract_feat(images), **kwargs)
