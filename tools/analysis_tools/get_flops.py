#!/usr/bin/env python
"""Count FLOPs and parameters of a config, with the flag of MMPretrain's tool.

Unlike MMPretrain's, it counts head and attention too, by default on what the
test pipeline makes of a photo of 500 x 375 pixels. One multiply-add is one
FLOP.
"""
import argparse

from mmengine.config import Config

from intr_mm.utils.complexity import count_complexity


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Count FLOPs and parameters of a model')
    parser.add_argument('config', help='config file path')
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        help='height and width of the input image, or one for both')
    args = parser.parse_args()
    if args.shape is not None:
        if len(args.shape) > 2:
            parser.error('--shape takes height and width, or one for both')
        args.shape = (args.shape[0], args.shape[-1])
    return args


def print_table(title: str, counts: dict) -> None:
    rows = [*sorted(counts.items(), key=lambda row: -row[1])]
    rows.append(('all', sum(counts.values())))
    print(f'\n{title}')
    for name, count in rows:
        print(f'  {name:<30}{count:>20,}')


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    if cfg.model.head.get('num_classes', 0) is None:
        raise SystemExit(f'{args.config} takes the number of classes from its '
                         'data: name a config with num_classes.')
    complexity = count_complexity(cfg, args.shape)
    print('Input shape: (3, {}, {})'.format(*complexity.shape))
    print_table('FLOPs', complexity.flops)
    print_table('Parameters', complexity.parameters)


if __name__ == '__main__':
    main()
