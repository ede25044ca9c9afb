"""FLOPs and parameters of a config, counted without computing anything.

Models run on PyTorch's meta device, which knows shapes only. As in mmengine
and in mmpretrain's metafiles, one multiply-add is one FLOP, and activations,
sums and softmax are not counted.
"""
import math
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# Height and width of the usual photo of CUB-200-2011.
PHOTO = (375, 500)


@dataclass(frozen=True)
class Complexity:
    """What a model costs for one image.

    Args:
        shape: Height and width of the image in pixels.
        flops: Multiply-adds by operator.
        parameters: Number of parameters by part of the model.
    """
    shape: tuple[int, int]
    flops: dict
    parameters: dict


def count_complexity(cfg: Config,
                     shape: tuple[int, int] | None = None) -> Complexity:
    """Count FLOPs and parameters of a config, with the head.

    No weights are fetched and no data are read.

    Args:
        cfg: Full config.
        shape: Height and width of the image in pixels, padding included. None
            means what the test pipeline makes of a photo of ``PHOTO``.

    Returns:
        For a batch of one image.
    """
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmpretrain')):
        shape = shape or input_shape(cfg)
        model_cfg = deepcopy(cfg.model)
        model_cfg.pop('init_cfg', None)
        model_cfg.backbone.pop('init_cfg', None)
        model_cfg.backbone.pop('pretrained', None)
        model = MODELS.build(model_cfg).eval()
    parameters = {
        name: sum(p.numel() for p in part.parameters())
        for name, part in model.named_children()
    }
    return Complexity(shape, count_flops(model, shape), {
        name: n
        for name, n in parameters.items() if n
    })


def count_flops(model: nn.Module, shape: tuple[int, int]) -> dict:
    """Count the multiply-adds of one forward pass by operator.

    Args:
        model: Model in eval mode; it is moved to the meta device.
        shape: Height and width of the image in pixels.

    Returns:
        FLOPs by operator, for one image.
    """
    image = torch.empty(1, 3, *shape, device='meta')
    with torch.no_grad(), _FlopMode() as mode:
        model.to('meta')(image)
    return dict(mode.flops)


def input_shape(cfg: Config) -> tuple[int, int]:
    """Size of the input that the test pipeline makes of the usual photo.

    Args:
        cfg: Full config. A data set that makes its own images, of
            ``img_size``, is taken at its word.

    Returns:
        Height and width in pixels, padding included.
    """
    loading, *pipeline = cfg.test_dataloader.dataset.pipeline
    if not pipeline:
        dataset = DATASETS.build(
            dict(cfg.test_dataloader.dataset, lazy_init=True))
        return dataset.img_size, dataset.img_size
    image = np.zeros((*PHOTO, 3), np.uint8)
    results = Compose([TRANSFORMS.build(step) for step in pipeline])(
        dict(img=image, img_shape=PHOTO, ori_shape=PHOTO))
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get(
        'data_preprocessor') or {}
    divisor = preprocessor.get('pad_size_divisor', 1)
    height, width = results['inputs'].shape[-2:]
    return (math.ceil(height / divisor) * divisor,
            math.ceil(width / divisor) * divisor)


class _FlopMode(TorchFunctionMode):
    """Counts what passes PyTorch's functions."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = Counter()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = getattr(func, '__name__', '').strip('_')
        if name in _OPAQUE:
            raise NotImplementedError(
                f"FLOPs inside '{name}' cannot be counted: write it with "
                'matmul or linear.')
        if name in _COUNT:
            self.flops[name] += _COUNT[name](out, *args, **kwargs)
        return out


def _linear(out: Tensor, x: Tensor, *args: Any, **kwargs: Any) -> int:
    return out.numel() * x.size(-1)


def _conv(out: Tensor, x: Tensor, weight: Tensor, *args: Any,
          **kwargs: Any) -> int:
    return out.numel() * weight[0].numel()


def _attention(out: Tensor, query: Tensor, key: Tensor, value: Tensor, *args:
               Any, **kwargs: Any) -> int:
    """Scores and their sum over the values; mmengine leaves both out."""
    rows = query.numel() // query.size(-1)
    return rows * key.size(-2) * (query.size(-1) + value.size(-1))


def _batch_norm(out: Tensor, *args: Any, **kwargs: Any) -> int:
    return 2 * out.numel()


def _layer_norm(out: Tensor, *args: Any, **kwargs: Any) -> int:
    return 5 * out.numel()


_COUNT = dict(
    linear=_linear,
    matmul=_linear,
    bmm=_linear,
    conv1d=_conv,
    conv2d=_conv,
    scaled_dot_product_attention=_attention,
    batch_norm=_batch_norm,
    layer_norm=_layer_norm)
_OPAQUE = ('einsum', 'multi_head_attention_forward', 'baddbmm', 'addmm',
           'conv_transpose2d', 'conv3d')
