from typing import List, Optional, Sequence, Tuple

import torch.nn as nn
from mmpretrain.structures import DataSample
from torch import Tensor

from .padding import make_padding_mask


def prepare_images(
    model: nn.Module,
    inputs: Sequence[Tensor],
    data_samples: Optional[List[DataSample]] = None
) -> Tuple[Tensor, List[DataSample]]:
    """Normalise and pad images, whatever the model's preprocessor.

    Args:
        model (nn.Module): The classifier.
        inputs (Sequence[Tensor]): B images (3, h, w), not normalised.
        data_samples (list[DataSample], optional): Filled and returned.
            Defaults to None, new ones.

    Returns:
        tuple[Tensor, list[DataSample]]: Images (B, 3, H, W), and samples that
        know the images' sizes, see :func:`make_padding_mask`.
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


def encode_images(
        model: nn.Module, images: Tensor,
        samples: List[DataSample]) -> Tuple[Tensor, Optional[Tensor]]:
    """What the classes of a model look at.

    Args:
        model (nn.Module): ``INTRClassifier``, or mmpretrain's
            ``ImageClassifier`` with an ``INTRHead``, which knows no padding.
        images (Tensor): From :func:`prepare_images`.
        samples (list[DataSample]): From the same.

    Returns:
        tuple[Tensor, Tensor | None]: The memory (B, D, H, W) and its padding
        mask (B, H, W), as the model's head receives them.
    """
    if not hasattr(model, 'get_attention'):
        return model.head.pre_logits(model.extract_feat(images)), None
    memory = model.extract_feat(
        images, stage='pre_logits', data_samples=samples)
    return memory, make_padding_mask(samples, memory)


def ask_attention(model: nn.Module, images: Tensor, samples: List[DataSample],
                  **kwargs) -> Tensor:
    """Where classes look, for either kind of classifier.

    Args:
        model (nn.Module): See :func:`encode_images`.
        images (Tensor): From :func:`prepare_images`.
        samples (list[DataSample]): From the same.
        **kwargs: Those of :meth:`INTRHead.get_attention` but for the mask.

    Returns:
        Tensor: See :meth:`INTRHead.get_attention`.
    """
    if hasattr(model, 'get_attention'):
        return model.get_attention(images, samples, **kwargs)
    return model.head.get_attention(model.extract_feat(images), **kwargs)
