#!/usr/bin/env python
"""Simulate epochs of training batches, and print how much of them is padding.

    python tools/analysis_tools/batch_padding.py configs/intr_cub.py

Views are drawn, and no image is decoded: their shapes follow from the heads of
the files. Random batches are compared with those of ViewShapeBatchSampler,
made of the same views.
"""
import argparse
from collections.abc import Iterable, Sequence

from intr_mm_flags import ToolParser, number


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Padding of training batches, at random and by shape',
        'python tools/analysis_tools/batch_padding.py configs/intr_cub.py')
    parser.add_argument('config', help='config file path')
    parser.add_argument(
        '--epochs', type=number(1), default=5, help='epochs to simulate')
    parser.add_argument('--seed', type=number(0), default=0, help='seed')
    parser.add_cfg_options()
    return parser.parse_args()


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

import numpy as np
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.utils.data import BatchSampler

from intr_mm.command_line import check_data_folders, load_config, run_tool


def padding_share(shapes: Sequence[tuple[int, int]],
                  batches: Iterable[Sequence[int]]) -> float:
    """Share of padding among the pixels of batches.

    Args:
        shapes: Height and width of each view.
        batches: Indices of the views of each batch.
    """
    shapes, pixels, padded = np.asarray(shapes), 0, 0
    for batch in batches:
        pixels += shapes[batch].prod(axis=1).sum()
        padded += len(batch) * shapes[batch].max(axis=0).prod()
    return 1 - pixels / padded


def main(args: argparse.Namespace) -> None:
    cfg = load_config(args.config, args.cfg_options, 'train_dataloader')
    check_data_folders(cfg, 'train_dataloader')
    loader = cfg.train_dataloader
    drop_last = loader.pop('drop_last', False)
    if loader.get('batch_sampler') is None:
        loader.batch_sampler = dict(
            type='ViewShapeBatchSampler', drop_last=drop_last)
    loader.num_workers, loader.persistent_workers = 0, False
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmpretrain')):
        loader = Runner.build_dataloader(loader, seed=args.seed)
    by_shape = loader.batch_sampler
    sampler = by_shape.sampler
    at_random = BatchSampler(sampler, by_shape.batch_size, by_shape.drop_last)
    print(f'{len(loader.dataset)} images, batches of {by_shape.batch_size}\n'
          'epoch   padding: random   by shape')
    shares = []
    for epoch in range(args.epochs):
        sampler.set_epoch(epoch)
        batches = list(by_shape)  # which draws the views
        shapes = [
            by_shape.view.view_shape(index, shape)
            for index, shape in enumerate(by_shape.image_shapes)
        ]
        shares.append([
            padding_share(shapes, batches) for batches in (at_random, batches)
        ])
        print('{:5}   {:15.1%}   {:8.1%}'.format(epoch, *shares[-1]))
    print(' mean   {:15.1%}   {:8.1%}'.format(*np.mean(shares, axis=0)))


if __name__ == '__main__':
    run_tool(main, ARGS)
