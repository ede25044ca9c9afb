#!/usr/bin/env python
"""Evaluate a model's explanations beside chance and other methods, in one run.

All columns explain the same images of the test data under the same protocol.
Pointing is evaluated if the config's test_evaluator has a PointingGame or a
PartPointing.
"""
import argparse
import os.path as osp

from intr_mm_flags import ToolParser, number, output_folder


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Evaluate explanations',
        'python tools/analysis_tools/evaluate_explanations.py CONFIG '
        'CHECKPOINT')
    parser.add_argument('config', help='config file path')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--max-samples',
        type=number(1),
        help='number of images, evenly spread')
    parser.add_argument(
        '--sample-interval',
        type=number(1),
        default=1,
        help='insertion, deletion and blanking on every n-th image of '
        'these, as they run the model dozens of times for each')
    parser.add_argument(
        '--steps',
        type=number(1),
        default=16,
        help='of insertion and deletion')
    parser.add_argument(
        '--of',
        choices=('pixels', 'cells'),
        default='pixels',
        help='what insertion and deletion replace: pixels of the image, or '
        'cells of the feature map behind the backbone, which is faster; '
        'blanking is left out with these (default: pixels)')
    parser.add_argument(
        '--fraction', type=float, default=.1, help='of the pixels to blank')
    parser.add_argument(
        '--heads',
        action='store_true',
        help='add a column for each head; the best of them by these figures '
        'is chosen on the test data and does worse on others')
    parser.add_argument(
        '--skip-unreadable',
        action='store_true',
        help='name and count images that cannot be read, and leave them out '
        'of all figures; without, the first ends the evaluation, as its '
        'figures would be of other data than was asked')
    parser.add_argument(
        '--no-grad-cam',
        action='store_true',
        help='leave Grad-CAM, HiResCAM and Finer-CAM out, which need '
        '`pip install grad-cam`')
    parser.add_argument(
        '--out',
        type=output_folder,
        default='work_dirs/explanations',
        help='folder for explanations.json and explanations.png')
    parser.add_cfg_options()
    return parser.parse_args()


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

import mmengine
from mmengine.config import Config
from mmpretrain.registry import DATASETS

import intr_mm  # noqa: F401, registers the data sets
from intr_mm.command_line import (add_checkpoint_check, check_config,
                                  check_data_folders, fill_num_classes,
                                  keep_images, leave_out_unreadable,
                                  merge_options, read_config, run_tool, spread)
from intr_mm.command_line.machine import setup_cpu_distributed
from intr_mm.command_line.tool_runner import ToolRunner
from intr_mm.evaluation import Verdict, verdict
from intr_mm.visualization.explanation_table import (draw_table, format_table,
                                                     make_rows)

COLUMNS = dict(
    attention=dict(type='AttentionExplainer'),
    evidence=dict(type='EvidenceExplainer'),
    margin=dict(type='EvidenceExplainer', against='rival'),
    chance=dict(type='RandomExplainer'),
    grad_cam=dict(type='GradCAMExplainer'),
    hires_cam=dict(type='GradCAMExplainer', method='HiResCAM'),
    # Grad-CAM as the base is weaker here, as it is alone.
    finer_cam=dict(
        type='GradCAMExplainer', method='FinerCAM', base='HiResCAM'))

NEEDS = ('model', 'test_dataloader', 'test_evaluator')


def prepare_config(args: argparse.Namespace) -> Config:
    cfg = read_config(args.config, *NEEDS)
    cfg.launcher, cfg.load_from = 'none', args.checkpoint
    cfg.work_dir = args.out
    cfg.experiment_name = 'evaluate_explanations'
    merge_options(cfg, args.cfg_options)
    check_config(cfg, *NEEDS)
    add_checkpoint_check(cfg)
    check_data_folders(cfg, 'test_dataloader')
    fill_num_classes(cfg, 'test_dataloader')
    best = min(5, cfg.model.head.get('num_classes', 5))
    cfg.model.test_cfg = dict(attention=dict(classes=('gt', f'top{best}')))
    cfg.default_hooks.pop('visualization', None)
    cfg.default_hooks.prepare_metrics = dict(type='PrepareMetricsHook')
    if args.max_samples is not None:
        size = len(DATASETS.build(cfg.test_dataloader.dataset))
        keep_images(cfg.test_dataloader.dataset, size,
                    spread(size, args.max_samples))
    setup_cpu_distributed(cfg)
    return cfg


def evaluators(cfg: Config, columns: dict,
               args: argparse.Namespace) -> list[dict]:
    """Metrics of the model, and of each column under a prefix of its own."""
    present = cfg.test_evaluator
    present = [present] if isinstance(present, dict) else present
    pointing = {}
    for metric in present:
        if metric['type'] in ('PointingGame', 'PartPointing'):
            # A config may ask it of several maps, this tool of each column.
            settings = {k: v for k, v in metric.items() if k != 'prefix'}
            pointing.setdefault(metric['type'], {}).update(settings)
    metrics = [
        dict(type='Accuracy', topk=(1, )),
        dict(type='HeadDiversity'),
        dict(type='ClassDistinctness'),
        dict(type='CalibrationError'),
        dict(type='EvenAttention'),
    ]
    for name, explainer in columns.items():
        asked = dict(explainer=explainer, interval=True)
        changes = dict(asked, sample_interval=args.sample_interval)
        metrics += [
            dict(metric, prefix=f'{name}.pointing', **asked)
            for metric in pointing.values()
        ]
        metrics += [
            dict(
                type='InsertionDeletion',
                steps=args.steps,
                of=args.of,
                prefix=f'{name}.faithfulness',
                **changes)
        ]
        if args.of == 'pixels':
            metrics.append(
                dict(
                    type='RegionBlanking',
                    fraction=args.fraction,
                    prefix=f'{name}.blanking',
                    **changes))
    return metrics


def judge(rows: dict, model: dict, head, num_images: int) -> Verdict:
    """Of the map that pictures show."""
    deletion = rows['faithfulness deletion']
    return verdict(
        top1=model['accuracy/top1'],
        even_top1=model['even_attention/top1'],
        num_classes=head.num_classes,
        num_images=num_images,
        margin=model['even_attention/margin'],
        deletion=deletion['evidence' if head.gives_evidence else 'attention'],
        random_deletion=deletion['chance'])


def main(args: argparse.Namespace) -> None:
    columns = dict(COLUMNS)
    if args.heads:
        columns['heads'] = dict(type='AttentionExplainer', heads='each')
    if args.no_grad_cam:
        for name in ('grad_cam', 'hires_cam', 'finer_cam'):
            del columns[name]
    cfg = prepare_config(args)
    unreadable = []
    if args.skip_unreadable:
        unreadable = leave_out_unreadable(cfg, 'test_dataloader')
    cfg.test_evaluator = evaluators(cfg, columns, args)
    runner = ToolRunner.from_cfg(cfg)
    rows, model = make_rows(runner.test())
    number = len(runner.test_dataloader.dataset)
    judged = judge(rows, model, runner.model.head, number)
    print(format_table(rows, model), judged.sentence, sep='\n\n')
    if unreadable:
        print(f'\nThese figures are of {number} of '
              f'{number + len(unreadable)} images, as the others cannot be '
              'read.')
    mmengine.mkdir_or_exist(args.out)
    mmengine.dump(
        dict(
            config=args.config,
            checkpoint=args.checkpoint,
            num_images=number,
            unreadable=unreadable,
            steps=args.steps,
            of=args.of,
            fraction=args.fraction,
            explanations=rows,
            model=model,
            verdict=judged._asdict()),
        osp.join(args.out, 'explanations.json'),
        indent=2)
    draw_table(rows, osp.join(args.out, 'explanations.png'), judged.sentence)


if __name__ == '__main__':
    run_tool(main, ARGS)
