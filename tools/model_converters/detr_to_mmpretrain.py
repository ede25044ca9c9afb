#!/usr/bin/env python
"""Make the start of an INTR of a DETR checkpoint.

    python tools/model_converters/detr_to_mmpretrain.py SRC DST --num-classes N

SRC is a path or URL of a DETR of facebookresearch, MMDetection 3.x or
transformers, as a file of PyTorch or safetensors; which of them is told by its
content. DST holds all weights of an INTRClassifier, in the format that its
ending names (.pth or .safetensors). ``load_from`` in a config does the same
without this step.
"""
import argparse

from intr_mm_flags import ToolParser


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Make the start of an INTR of a DETR checkpoint',
        'python tools/model_converters/detr_to_mmpretrain.py detr-r50.pth '
        'start.pth --num-classes 200')
    parser.add_conversion('DETR checkpoint, path or URL',
                          'checkpoint to write')
    parser.add_argument(
        '--num-classes', type=int, required=True, help='number of classes')
    parser.add_argument(
        '--noise-frac',
        type=float,
        default=0.1,
        help='noise on class queries beyond those of DETR')
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='seed of the noise and of the presence vector')
    args = parser.parse_args()
    if args.num_classes < 1:
        parser.error(f'--num-classes must be positive, not {args.num_classes}')
    return args


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

import torch
from torch import Tensor, nn

from intr_mm.checkpoints import (check_complete, check_destination,
                                 convert_foreign, describe, find_weights,
                                 read_checkpoint, refuse_in_one_sentence,
                                 report_conversion, save_weights)
from intr_mm.command_line import run_tool


def presence_vector(embed_dims: int, seed: int) -> dict[str, Tensor]:
    """A fresh presence vector: xavier, zero bias, as in the official code."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        weight = nn.init.xavier_uniform_(torch.empty(1, embed_dims))
    return {
        'head.presence_vector.weight': weight,
        'head.presence_vector.bias': torch.zeros(1)
    }


def main(args: argparse.Namespace) -> None:
    check_destination(args)
    checkpoint = read_checkpoint(args.src)
    with refuse_in_one_sentence(args.src):
        foreign = convert_foreign(checkpoint, args.num_classes,
                                  args.noise_frac, args.seed)
        if foreign is None or not foreign.fresh:
            raise ValueError(
                f'it is {describe(find_weights(checkpoint))} where a DETR of '
                'facebookresearch, MMDetection 3.x or transformers is needed')
        embed_dims = foreign.state_dict['head.query_embed.weight'].size(1)
        state_dict = dict(foreign.state_dict,
                          **presence_vector(embed_dims, args.seed))
        check_complete(state_dict)
        save_weights(state_dict, args.dst)
    report_conversion(foreign, checkpoint, args.dst)


if __name__ == '__main__':
    run_tool(main, ARGS)
