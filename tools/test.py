#!/usr/bin/env python
"""Test a model, with the flags of MMPretrain's tool of the same name."""
import argparse
import os.path as osp
from copy import deepcopy

from intr_mm_flags import (DATA_FILES, ToolParser, ending, is_exported, number,
                           output_file, output_folder)


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Test (and eval) a model',
        'python tools/test.py configs/intr_demo.py CHECKPOINT --out '
        'predictions.csv')
    parser.add_argument('config', help='test config file path')
    parser.add_argument('checkpoint', help='checkpoint or exported file')
    parser.add_argument(
        '--work-dir',
        type=output_folder,
        help='the dir to save logs and metrics')
    parser.add_argument(
        '--out',
        type=output_file(*DATA_FILES, '.csv'),
        help='the file to output results: predictions as .pkl, or as .csv '
        'or .json, with a table by class and the confusion matrix; metrics as '
        '.json, .yaml or .pkl')
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        help='what `--out` holds, the predictions by default')
    parser.add_cfg_options()
    parser.add_argument(
        '--amp',
        action='store_true',
        help='enable automatic-mixed-precision test')
    parser.add_argument(
        '--fast',
        nargs='?',
        const='bfloat16',
        choices=['float32', 'bfloat16', 'float16'],
        help='test a copy of the model that is made faster, in bfloat16 if '
        'no type is given; an exported file then computes in that type, in '
        'OpenVINO')
    parser.add_argument(
        '--compile',
        action='store_true',
        help='let `--fast` compile the backbone, for long tests; an exported '
        'file for each size of images, where these are few')
    parser.add_argument(
        '--show-dir',
        type=output_folder,
        help='directory where the predictions are drawn to')
    parser.add_argument(
        '--show',
        action='store_true',
        help='display the prediction results in a window')
    parser.add_argument(
        '--interval',
        type=number(1),
        default=1,
        help='visualize per interval samples')
    parser.add_argument(
        '--wait-time',
        type=number(0, kind=float),
        default=2,
        help='display time of every window (second)')
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='disable the pin_memory option in dataloaders')
    parser.add_argument(
        '--tta',
        action='store_true',
        help='enable test-time augmentation, by `tta_pipeline` and '
        '`tta_model` of the config, else by averaging the scores of an image '
        'and its mirror image')
    parser.add_argument(
        '--skip-unreadable',
        action='store_true',
        help='name and count images that cannot be read, and leave them out '
        'of all figures; without, the first ends the test, as its figures '
        'would be of other data than was asked')
    parser.add_launcher()
    args = parser.parse_args()
    if args.compile and args.fast is None:
        parser.error('--compile needs --fast')
    if is_exported(args.checkpoint) and (args.amp or args.tta):
        parser.error('an exported file runs as it is, without --amp and '
                     '--tta: give the checkpoint')
    if args.out is None and args.out_item is not None:
        parser.error('--out-item needs the path of the file in --out')
    if args.out is not None:
        endings = DATA_FILES
        if args.out_item != 'metrics':
            endings = ('.pkl', '.pickle', '.csv', '.json')
        if ending(args.out) not in endings:
            parser.error(f'--out {args.out} holds the '
                         f"{args.out_item or 'pred'}, which are written to "
                         f"{', '.join(endings)}: choose one of these endings")
    return args


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

import mmengine
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.registry import RUNNERS

from intr_mm.checkpoints import stored_temperature
from intr_mm.command_line import (add_checkpoint_check, check_config,
                                  check_data_folders, cut_topk,
                                  fill_num_classes, leave_out_unreadable,
                                  merge_options, read_config, run_tool)
from intr_mm.command_line.machine import (advise_threads, check_display,
                                          setup_cpu_distributed,
                                          use_huge_pages)
from intr_mm.command_line.tool_runner import ToolRunner
from intr_mm.evaluation import OrderedDumpResults, PredictionTables

NEEDS = ('model', 'test_dataloader', 'test_cfg', 'test_evaluator')


def merge_args(cfg: Config, args: argparse.Namespace) -> None:
    """Merge the command line into the config."""
    cfg.launcher = args.launcher
    cfg.load_from = args.checkpoint
    cfg.resume = False

    # priority: command line > config > name of the config
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join('./work_dirs', name)

    if args.amp:
        cfg.test_cfg.fp16 = True

    if args.fast is not None and not is_exported(args.checkpoint):
        cfg.custom_hooks = [
            *cfg.get('custom_hooks', []),
            dict(
                type='FastInferenceHook',
                dtype=args.fast,
                compile=args.compile)
        ]

    if args.show or args.show_dir is not None:
        cfg.default_hooks.setdefault('visualization',
                                     dict(type='VisualizationHook'))
        cfg.default_hooks.visualization.update(
            enable=True,
            show=args.show,
            wait_time=args.wait_time,
            out_dir=args.show_dir,
            interval=args.interval)

    if args.tta:
        add_tta(cfg)

    cfg.test_dataloader = ConfigDict(
        dict(
            pin_memory=get_device() != 'cpu',
            # the images of a batch may differ in size
            collate_fn=dict(type='pseudo_collate')),
        **cfg.test_dataloader)
    if args.no_pin_memory:
        cfg.test_dataloader.pin_memory = False

    merge_options(cfg, args.cfg_options)


def add_tta(cfg: Config) -> None:
    """Wrap the model and the end of the pipeline for augmentation."""
    tta_model = cfg.get('tta_model',
                        dict(type='mmpretrain.AverageClsScoreTTA'))
    pipeline = cfg.get('tta_pipeline')
    if pipeline is None:
        *pipeline, pack = deepcopy(cfg.test_dataloader.dataset.pipeline)
        flips = [dict(type='RandomFlip', prob=prob) for prob in (1., 0.)]
        pipeline.append(dict(type='TestTimeAug', transforms=[flips, [pack]]))
    cfg.model = ConfigDict(**tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = pipeline


def main(args: argparse.Namespace) -> None:
    check_display(args.show)
    use_huge_pages()
    advise_threads()
    cfg = read_config(args.config, *NEEDS)
    merge_args(cfg, args)
    check_config(cfg, *NEEDS)
    add_checkpoint_check(cfg)
    check_data_folders(cfg, 'test_dataloader')
    unreadable = []
    if args.skip_unreadable:
        unreadable = leave_out_unreadable(cfg, 'test_dataloader')
    fill_num_classes(cfg, 'test_dataloader')
    cut_topk(cfg, args.cfg_options)
    if is_exported(args.checkpoint):
        cfg.model = ConfigDict(
            type='ExportedClassifier',
            file=args.checkpoint,
            dtype=args.fast or 'float32',
            compile=args.compile,
            test_cfg=cfg.model.get('test_cfg'))
        cfg.load_from = None
    setup_cpu_distributed(cfg)
    if 'runner_type' in cfg:
        runner = RUNNERS.build(cfg)
    else:
        runner = ToolRunner.from_cfg(cfg)

    if args.out and args.out_item != 'metrics':
        dump = OrderedDumpResults
        kwargs = dict(out_file_path=args.out)
        if ending(args.out) in ('.csv', '.json'):
            dump = PredictionTables
            kwargs['temperature'] = stored_temperature(
                args.checkpoint) or getattr(runner.model, 'temperature', 1.)
            kwargs['unreadable'] = unreadable
        metric = dump(**kwargs)
        metric.dataset_meta = runner.test_dataloader.dataset.metainfo
        runner.test_evaluator.metrics.append(metric)
    metrics = runner.test()
    if unreadable:
        left = len(runner.test_dataloader.dataset)
        runner.logger.warning(
            f'These figures are of {left} of {left + len(unreadable)} images, '
            'as the others cannot be read.')
        metrics['unreadable'] = unreadable
    if args.out and args.out_item == 'metrics' and runner.rank == 0:
        mmengine.dump(metrics, args.out, ending(args.out)[1:])


if __name__ == '__main__':
    run_tool(main, ARGS)
