#!/usr/bin/env python
"""Write a model into one ONNX file, for any number and size of images.

The file has the input `inputs`, (B, 3, H, W) as the data preprocessor gives
them, and `padding_mask`, which may be left out; its outputs are `logits` and,
with --maps, where classes look. Its metadata say the rest. It is compared with
PyTorch before it is written.
"""
import argparse
import logging

from intr_mm_flags import ToolParser, number, output_file


def maps(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Write a model into one ONNX file',
        'python tools/deployment/export.py CONFIG CHECKPOINT model.onnx '
        '--maps pred')
    parser.add_argument('config', help='config file path')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        'out',
        type=output_file('.onnx'),
        help='file to write, which ends in .onnx')
    parser.add_argument(
        '--maps',
        type=maps,
        metavar='pred|K|all',
        help='also give maps: of the predicted class, of the K best classes, '
        'or of all')
    parser.add_argument(
        '--layer',
        type=int,
        default=-1,
        help='decoder layer of the maps, from 0 on or from -1 back (default: '
        '-1, the last)')
    parser.add_argument(
        '--opset',
        type=number(18),
        help="version of ONNX's operators (default: that of the exporter)")
    parser.add_argument(
        '--temperature',
        type=number(1e-6, kind=float),
        help='divides the logits for scores, of fit_temperature.py; the file '
        'names it, and its logits stay as they are (default: the one beside '
        'the checkpoint, or 1)')
    parser.add_cfg_options()
    return parser.parse_args()


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

from intr_mm.apis import INTRInferencer
from intr_mm.apis.image_inputs import describe_dataset
from intr_mm.command_line import load_config, run_tool
from intr_mm.deploy import export_onnx
from intr_mm.deploy.onnx_export import check_requirements

NEEDS = ('model', 'test_dataloader')


def main(args: argparse.Namespace) -> None:
    check_requirements()
    # which tells of every weight that it does not fold
    logging.getLogger('onnxscript').setLevel(logging.ERROR)
    cfg = load_config(args.config, args.cfg_options, *NEEDS)
    inferencer = INTRInferencer(
        cfg, args.checkpoint, device='cpu', temperature=args.temperature)
    difference = export_onnx(
        inferencer.model,
        args.out,
        maps=args.maps,
        layer=args.layer,
        opset=args.opset,
        temperature=inferencer.temperature,
        classes=inferencer.class_names.names,
        dataset=describe_dataset(cfg))
    print(f'{args.out} is written. It differs from PyTorch by at most '
          f'{difference:.1e}.')


if __name__ == '__main__':
    run_tool(main, ARGS)
