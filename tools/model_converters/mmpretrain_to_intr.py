#!/usr/bin/env python
"""Convert a checkpoint to that of the official INTR code.

    python tools/model_converters/mmpretrain_to_intr.py SRC DST

SRC is a checkpoint of an INTRClassifier on a ResNet. DST can be given to
``--resume ... --eval`` of github.com/Imageomics/INTR: a file of PyTorch that
holds the weights under ``model``, or safetensors where its ending says so.
"""
import argparse

from intr_mm_flags import ToolParser


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Convert a checkpoint to that of the official INTR code',
        'python tools/model_converters/mmpretrain_to_intr.py intr.pth '
        'official.pth')
    parser.add_conversion('checkpoint of this package',
                          'official checkpoint to write')
    return parser.parse_args()


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

from intr_mm.checkpoints import (TO_OFFICIAL, check_complete,
                                 check_destination, class_names, describe,
                                 find_weights, is_our_name, read_checkpoint,
                                 refuse_in_one_sentence, rename, save_weights)
from intr_mm.command_line import run_tool


def check_exportable(checkpoint: dict, weights: dict) -> None:
    """Check that the official code has such a model.

    Args:
        checkpoint: Content of the file.
        weights: The weights in it.

    Raises:
        ValueError: If it has not.
    """
    if 'head.presence_vector.weight' not in weights:
        raise ValueError(f'it is {describe(weights)} where a checkpoint of '
                         'INTRClassifier is needed')
    for name in weights:
        if not is_our_name(name):
            raise ValueError(f"it holds '{name}', for which the official "
                             'code, INTR on a ResNet, has no place')
    check_complete(weights)
    classes = class_names(checkpoint)
    queries = len(weights['head.query_embed.weight'])
    if classes is not None and len(classes) != queries:
        raise ValueError(f'it has {queries} queries for {len(classes)} '
                         'classes, and the official code has one for each')


def main(args: argparse.Namespace) -> None:
    check_destination(args)
    checkpoint = read_checkpoint(args.src)
    with refuse_in_one_sentence(args.src):
        weights = find_weights(checkpoint)
        check_exportable(checkpoint, weights)
        # the official code's frozen normalisation layers count no batches
        counters = [k for k in weights if k.endswith('num_batches_tracked')]
        state_dict = {
            rename(name, TO_OFFICIAL): tensor
            for name, tensor in weights.items() if name not in counters
        }
        save_weights(state_dict, args.dst, key='model')
    print(f'Wrote {len(state_dict)} tensors to {args.dst}; dropped '
          f'{len(counters)} counters of batches (num_batches_tracked).')


if __name__ == '__main__':
    run_tool(main, ARGS)
