#!/usr/bin/env python
"""Fit the temperature at which a model's scores say how often it is right.

The temperature is fitted to one split, and measured on it and on images that
it was not fitted to: on the test split if the one of validation was fitted,
and where there is no other split, by a fit to one half and a look at the
other.

It is stored beside the checkpoint, where explain.py, serve.py, test.py and the
inferencer find it.
"""
import argparse
import os
import tempfile

from intr_mm_flags import DATA_FILES, ToolParser, ending, number, output_file


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Fit a temperature',
        'python tools/analysis_tools/fit_temperature.py CONFIG CHECKPOINT')
    parser.add_argument('config', help='config file path')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--split',
        choices=['val', 'test'],
        default='val',
        help='split that the temperature is fitted to')
    parser.add_argument(
        '--num-bins', type=number(1), default=15, help='bins of ECE')
    parser.add_argument(
        '--seed', type=number(0, 2**32 - 1), default=0, help='seed of halves')
    parser.add_argument(
        '--out',
        type=output_file(*DATA_FILES),
        help='JSON file for the figures')
    parser.add_cfg_options()
    return parser.parse_args()


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

import mmengine
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from intr_mm.checkpoints import store_temperature
from intr_mm.command_line import (add_checkpoint_check, check_config,
                                  check_data_folders, fill_num_classes,
                                  merge_options, read_config, run_tool)
from intr_mm.command_line.machine import setup_cpu_distributed
from intr_mm.command_line.tool_runner import ToolRunner
from intr_mm.evaluation import calibration, fit_temperature


def prepare_config(args: argparse.Namespace) -> Config:
    cfg = read_config(args.config, 'model')
    cfg.launcher, cfg.load_from = 'none', args.checkpoint
    merge_options(cfg, args.cfg_options)
    check_config(cfg, 'model')
    add_checkpoint_check(cfg)
    head = MODELS.get(cfg.model.head.type)
    if getattr(head, 'multi_label', False):
        raise SystemExit(
            f'A temperature recalibrates classes that compete, which those of '
            f'{head.__name__} do not: set its thr instead.')
    # Scores are all that is wanted.
    cfg.default_hooks.pop('visualization', None)
    cfg.model.pop('test_cfg', None)
    return cfg


def predict(cfg: Config, split: str) -> tuple:
    """Scores (N, C) and labels (N, ) of a split."""
    cfg = cfg.copy()
    cfg.test_dataloader = cfg[f'{split}_dataloader']
    check_data_folders(cfg, 'test_dataloader')
    fill_num_classes(cfg, 'test_dataloader')
    setup_cpu_distributed(cfg)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'predictions.pkl')
        cfg.work_dir = folder
        # Runners of one name and second share a visualizer, and its folder.
        cfg.experiment_name = os.path.basename(folder)
        cfg.test_evaluator = dict(
            type='OrderedDumpResults', out_file_path=path)
        ToolRunner.from_cfg(cfg).test()
        predictions = mmengine.load(path)
    return (torch.stack([p['pred_score'] for p in predictions]),
            torch.tensor([int(p['gt_label']) for p in predictions]))


def measure(name: str, scores: torch.Tensor, labels: torch.Tensor,
            temperature: float, num_bins: int) -> dict:
    return dict(
        split=name,
        num_images=len(labels),
        temperature=temperature,
        before=calibration(scores, labels, num_bins),
        after=calibration(scores, labels, num_bins, temperature))


def main(args: argparse.Namespace) -> None:
    cfg = prepare_config(args)
    if cfg.get(f'{args.split}_dataloader') is None:
        raise SystemExit(f'{args.config} has no {args.split}_dataloader: '
                         'choose the other --split.')
    scores, labels = predict(cfg, args.split)
    lost = (scores == 0).any(1)
    if lost.any():
        print(f'Warning: {int(lost.sum())} of {len(scores)} images have '
              'scores that are too small for float32 and count as its least: '
              'the temperature will be too low.')
    temperature = fit_temperature(scores, labels)
    fitted_on = f'{args.split} (fitted)'
    rows = [measure(fitted_on, scores, labels, temperature, args.num_bins)]
    test = cfg.get('test_dataloader')
    if (args.split == 'val' and test is not None
            and test.dataset != cfg.val_dataloader.dataset):
        rows.append(
            measure('test', *predict(cfg, 'test'), temperature, args.num_bins))
    else:
        order = torch.randperm(
            len(labels), generator=torch.Generator().manual_seed(args.seed))
        first, second = order.chunk(2)
        rows.append(
            measure(f'held-out half of {args.split}', scores[second],
                    labels[second],
                    fit_temperature(scores[first],
                                    labels[first]), args.num_bins))

    print(f'\nTemperature {temperature:.4f}, fitted to the '
          f'{args.split} split\n\n'
          f'{"measured on":<24}{"images":>8}{"T":>8}{"ECE":>9}{"at T":>9}'
          f'{"conf.":>9}{"at T":>9}{"acc.":>8}{"NLL":>9}{"at T":>9}')
    for row in rows:
        before, after = row['before'], row['after']
        print(f'{row["split"]:<24}{row["num_images"]:>8}'
              f'{row["temperature"]:>8.3f}'
              f'{before["ece"]:>8.2f}%{after["ece"]:>8.2f}%'
              f'{before["confidence"]:>8.1f}%{after["confidence"]:>8.1f}%'
              f'{before["accuracy"]:>7.1f}%'
              f'{before["nll"]:>9.4f}{after["nll"]:>9.4f}')
    path = store_temperature(
        args.checkpoint, temperature, split=args.split, num_images=len(labels))
    print(f'\nWrote {path}, which explain.py, serve.py, test.py and the '
          'inferencer read.')
    if args.out is not None:
        mmengine.dump(
            dict(temperature=temperature, fitted=rows[0], held_out=rows[1]),
            args.out,
            ending(args.out)[1:],
            indent=2)


if __name__ == '__main__':
    run_tool(main, ARGS)
