#!/usr/bin/env python
"""Convert a checkpoint of the official INTR code.

    python tools/model_converters/intr_to_mmpretrain.py SRC DST

SRC is a path or URL of a checkpoint of github.com/Imageomics/INTR, as a file
of PyTorch or safetensors. Its weights are kept, its optimizer state and
arguments are dropped, and no code in it is run. DST is in the format that its
ending names (.pth or .safetensors). ``load_from``, ``tools/test.py`` and
``get_model`` take SRC without this step.
"""
import argparse

from intr_mm_flags import ToolParser


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Convert an official INTR checkpoint',
        'python tools/model_converters/intr_to_mmpretrain.py official.pth '
        'intr.pth')
    parser.add_conversion('official checkpoint, path or URL',
                          'checkpoint to write')
    return parser.parse_args()


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

from intr_mm.checkpoints import (OFFICIAL_INTR, check_complete,
                                 check_destination, convert_foreign, describe,
                                 find_weights, identify, read_checkpoint,
                                 refuse_in_one_sentence, report_conversion,
                                 save_weights)
from intr_mm.command_line import run_tool


def main(args: argparse.Namespace) -> None:
    check_destination(args)
    checkpoint = read_checkpoint(args.src)
    with refuse_in_one_sentence(args.src):
        weights = find_weights(checkpoint)
        if identify(weights) is not OFFICIAL_INTR:
            raise ValueError(f'it is {describe(weights)} where an official '
                             'INTR checkpoint is needed')
        foreign = convert_foreign(checkpoint)
        check_complete(foreign.state_dict)
        save_weights(foreign.state_dict, args.dst)
    report_conversion(foreign, checkpoint, args.dst)


if __name__ == '__main__':
    run_tool(main, ARGS)
