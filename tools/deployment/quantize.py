#!/usr/bin/env python
"""Write an exported file anew, with its backbone in int8.

Ranges of activations are those of training images of the config, prepared as
the test's. The file is then compared with the one it was made of, on images of
the test.
"""
import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

from intr_mm_flags import ToolParser, check_not_read, number, output_file


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Write an exported file in int8',
        'python tools/deployment/quantize.py CONFIG model.onnx '
        'model_int8.onnx')
    parser.add_argument('config', help='config file path')
    parser.add_argument('model', help='exported file, of export.py')
    parser.add_argument(
        'out',
        type=output_file('.onnx'),
        help='file to write, which ends in .onnx')
    parser.add_argument(
        '--num-samples',
        type=number(1),
        default=300,
        metavar='NUM',
        help='images of the training split that ranges are taken of, and '
        'images of the test that the two files are compared on (default: 300)')
    parser.add_argument(
        '--reduce-range',
        action='store_true',
        help='weights of 7 bits, for processors without VNNI, where sums of 8 '
        'bits overflow')
    parser.add_argument(
        '--float-layers',
        type=number(0),
        metavar='NUM',
        help='how many layers stay in float32, from the image on (default: a '
        'fifth, stem and first stage of a ResNet-50)')
    parser.add_cfg_options()
    args = parser.parse_args()
    try:
        check_not_read(args.out, [args.model])
    except ValueError as error:
        parser.error(str(error))
    return args


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS
from torch import Tensor
from torch.utils.data import ConcatDataset

from intr_mm.command_line import (check_data_folders, leaf_datasets,
                                  load_config, run_tool, spread)
from intr_mm.deploy import ExportedClassifier, check_exported, quantize_onnx
from intr_mm.deploy.onnx_export import check_requirements
from intr_mm.deploy.quantization import compare_sessions
from intr_mm.progress import track

NEEDS = ('train_dataloader', 'test_dataloader')


def sample_images(cfg: Config, field: str, num_samples: int,
                  classifier: ExportedClassifier) -> Iterator[Tensor]:
    """Images (1, 3, H, W) of a dataloader, evenly spread over its data, as the
    test prepares them."""
    pipeline = next(leaf_datasets(cfg.test_dataloader.dataset)).pipeline
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmpretrain')):
        dataset = ConcatDataset([
            DATASETS.build(dict(leaf, pipeline=pipeline))
            for leaf in leaf_datasets(cfg[field].dataset)
        ])
        places = spread(len(dataset), num_samples)
        for place in track(places, f'Reading {field}', len(places)):
            image = dataset[place]['inputs']
            data = classifier.data_preprocessor(dict(inputs=[image]))
            yield data['inputs']


def main(args: argparse.Namespace) -> None:
    check_requirements()
    from onnxruntime import set_default_logger_severity

    # It asks for a preparation that export.py has made, and warns of the mask.
    logging.getLogger().setLevel(logging.ERROR)
    set_default_logger_severity(3)
    cfg = load_config(args.config, args.cfg_options, *NEEDS)
    check_data_folders(cfg, *NEEDS)
    before = ExportedClassifier(args.model, 'onnxruntime')
    check_exported(before, cfg)
    quantize_onnx(
        args.model,
        args.out,
        sample_images(cfg, NEEDS[0], args.num_samples, before),
        reduce_range=args.reduce_range,
        float_layers=args.float_layers)
    found = compare_sessions(
        ExportedClassifier(args.out, 'onnxruntime').session, before.session,
        sample_images(cfg, NEEDS[1], args.num_samples, before))
    megabytes, of = (
        Path(file).stat().st_size / 1e6 for file in (args.out, args.model))
    print(f'{args.out} is written, {megabytes:.0f} of {of:.0f} MB. On '
          f'{found.num_samples} images of the test it predicts the same class '
          f'as {args.model} in {found.agreement:.1%}. Logits differ by at '
          f'most {found.largest:.2f}, typically {found.typical:.2f}, where '
          f'those of an image spread by {found.spread:.2f}. An image takes '
          f'{found.time_ratio:.2f} of the time here.')


if __name__ == '__main__':
    run_tool(main, ARGS)
