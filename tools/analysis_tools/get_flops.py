#!/usr/bin/env python
"""Count FLOPs and parameters of a config, with the flag of MMPretrain's tool.

Unlike MMPretrain's, it counts head and attention too, by default on what the
test pipeline makes of a photo of 500 x 375 pixels. As in MMPretrain's
metafiles, one multiply-add is one FLOP. PyTorch counts those of convolutions,
projections and attention, on its meta device: nothing is computed.
"""
import argparse
import math
from collections import Counter
from copy import deepcopy
from functools import partial

from intr_mm_flags import ToolParser, number

# of an edge, which is what a JPEG file can have
MOST_PIXELS = 65535


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Count FLOPs and parameters of a model',
        'python tools/analysis_tools/get_flops.py configs/intr_cub.py')
    parser.add_argument('config', help='config file path')
    parser.add_argument(
        '--shape',
        type=number(1, MOST_PIXELS),
        nargs='+',
        help='height and width of the input image, or one for both')
    args = parser.parse_args()
    if args.shape is not None:
        if len(args.shape) > 2:
            parser.error('--shape takes height and width, or one for both')
        args.shape = (args.shape[0], args.shape[-1])
    return args


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from intr_mm.command_line import load_config, run_tool

# Height and width of the usual photo of CUB-200-2011.
PHOTO = (375, 500)


def count_config(
    cfg: Config,
    shape: tuple[int, int] | None = None
) -> tuple[tuple[int, int], dict[str, int], dict[str, int]]:
    """Count without fetching weights or reading data.

    Args:
        cfg: Full config.
        shape: Height and width of the image in pixels, padding included. None
            means what the test pipeline makes of a photo of ``PHOTO``.

    Returns:
        That shape, FLOPs of one image and number of parameters, both by part
        of the model.
    """
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmpretrain')):
        shape = shape or input_shape(cfg)
        model_cfg = deepcopy(cfg.model)
        for part in (model_cfg, model_cfg.backbone):
            part.pop('init_cfg', None)
        model_cfg.backbone.pop('pretrained', None)
        model = MODELS.build(model_cfg)
    parameters = {
        name: sum(p.numel() for p in part.parameters())
        for name, part in model.named_children()
    }
    return shape, count_flops(model, shape), {
        name: number
        for name, number in parameters.items() if number
    }


def count_flops(model: nn.Module, shape: tuple[int, int]) -> dict[str, int]:
    """Count the multiply-adds of one image by part of the model.

    Args:
        model: It is moved to the meta device.
        shape: Height and width of the image in pixels.
    """
    # Frozen, as PyTorch's counter hooks into gradients where there are some.
    model.eval().requires_grad_(False).to('meta')
    flops = Counter()
    with FlopCounterMode(display=False) as counter:

        def add(name: str, sign: int, *_) -> None:
            flops[name] += sign * counter.get_total_flops() // 2

        for name, part in model.named_children():
            part.register_forward_pre_hook(partial(add, name, -1))
            part.register_forward_hook(partial(add, name, 1))
        model(torch.empty(1, 3, *shape, device='meta'))
    return dict(flops)


def input_shape(cfg: Config) -> tuple[int, int]:
    """Height and width in pixels of what the test pipeline makes of a photo
    of ``PHOTO``, padding included.

    A data set that makes its own images, of ``img_size``, is taken at its
    word.
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


def print_table(title: str, counts: dict[str, int]) -> None:
    rows = [*sorted(counts.items(), key=lambda row: -row[1])]
    rows.append(('all', sum(counts.values())))
    print(f'\n{title}')
    for name, count in rows:
        print(f'  {name:<30}{count:>20,}')


def main(args: argparse.Namespace) -> None:
    cfg = load_config(args.config, None, 'model')
    if cfg.model.head.get('num_classes', 0) is None:
        raise SystemExit(f'{args.config} takes the number of classes from its '
                         'data: name a config with num_classes.')
    try:
        shape, flops, parameters = count_config(cfg, args.shape)
    except RuntimeError as error:
        if args.shape is None:
            raise
        raise SystemExit(f'--shape {args.shape[0]} {args.shape[1]} is no size '
                         f'that the model can take ({error}): choose a larger '
                         'one.') from error
    print('Input shape: (3, {}, {})'.format(*shape))
    print_table('FLOPs', flops)
    print_table('Parameters', parameters)


if __name__ == '__main__':
    run_tool(main, ARGS)
