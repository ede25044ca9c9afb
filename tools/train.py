#!/usr/bin/env python
"""Train a model, with the flags of MMPretrain's tool of the same name."""
import argparse
import os.path as osp

from intr_mm_flags import ToolParser, output_folder


def parse_args() -> argparse.Namespace:
    parser = ToolParser('Train a model',
                        'python tools/train.py configs/intr_demo.py --amp')
    parser.add_argument('config', help='train config file path')
    parser.add_argument(
        '--work-dir',
        type=output_folder,
        help='the dir to save logs and models')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from this checkpoint, or, if none is given, from the '
        'latest one in the work directory')
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='start anew in a work directory that holds checkpoints')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='enable automatic-mixed-precision training, in bfloat16 where it '
        'is supported')
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='do not evaluate the checkpoints during training')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the ratio of the actual batch size '
        'to `auto_scale_lr.base_batch_size`')
    parser.add_argument(
        '--skip-unreadable',
        action='store_true',
        help='name and count images of the validation that cannot be read, '
        'and leave them out of its figures; without, the first ends the run '
        'at its first validation. Training passes over such anyway')
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='disable the pin_memory option in dataloaders')
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='disable the persistent_workers option in dataloaders')
    parser.add_cfg_options()
    parser.add_launcher()
    return parser.parse_args()


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.registry import RUNNERS

from intr_mm.checkpoints import choose_start, claim_work_dir
from intr_mm.command_line import (add_checkpoint_check, check_config,
                                  check_data_folders, cut_schedule, cut_topk,
                                  fill_num_classes, leave_out_unreadable,
                                  merge_options, read_config, run_tool)
from intr_mm.command_line.machine import (advise_threads, keep_freed_memory,
                                          setup_cpu_distributed, use_amp,
                                          use_huge_pages)
from intr_mm.command_line.tool_runner import ToolRunner
from intr_mm.engine.hooks.checks import check_batches

NEEDS = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')


def merge_args(cfg: Config, args: argparse.Namespace) -> None:
    """Merge the command line into the config."""
    cfg.launcher = args.launcher
    if args.no_validate:
        cfg.val_cfg = None
        cfg.val_dataloader = None
        cfg.val_evaluator = None

    # priority: command line > config > name of the config
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join('./work_dirs', name)

    if args.amp:
        use_amp(cfg.optim_wrapper, get_device())

    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume

    if args.auto_scale_lr:
        cfg.setdefault('auto_scale_lr', ConfigDict()).enable = True

    for field in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(field) is None:
            continue
        cfg[field] = ConfigDict(
            dict(
                pin_memory=get_device() != 'cpu',
                persistent_workers=cfg[field].get('num_workers', 0) > 0,
                # the images of a batch may differ in size
                collate_fn=dict(type='pseudo_collate')),
            **cfg[field])
        if args.no_pin_memory:
            cfg[field].pin_memory = False
        if args.no_persistent_workers:
            cfg[field].persistent_workers = False

    merge_options(cfg, args.cfg_options)
    for field in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(field) and not cfg[field].get('num_workers'):
            cfg[field].persistent_workers = False  # which would be refused
    if args.resume not in (None, 'auto') and cfg.load_from != args.resume:
        raise ValueError(
            f'--resume {args.resume} and load_from={cfg.load_from} are two '
            'checkpoints to start from: name one of them.')
    if args.auto_scale_lr and not cfg.auto_scale_lr.get('base_batch_size'):
        raise ValueError(
            '--auto-scale-lr needs the batch size that the learning rate is '
            'for: set `--cfg-options auto_scale_lr.base_batch_size=...`.')


def main(args: argparse.Namespace) -> None:
    use_huge_pages()
    advise_threads()
    keep_freed_memory()
    cfg = read_config(args.config, *NEEDS)
    load_from = cfg.get('load_from')
    merge_args(cfg, args)
    check_config(cfg, *NEEDS)
    with claim_work_dir(cfg.work_dir):
        choose_start(cfg, load_from, args.overwrite)
        train(cfg, args)


def train(cfg: Config, args: argparse.Namespace) -> None:
    add_checkpoint_check(cfg)
    check_data_folders(cfg, 'train_dataloader', 'val_dataloader')
    if args.skip_unreadable and cfg.get('val_dataloader') is not None:
        leave_out_unreadable(cfg, 'val_dataloader')
    fill_num_classes(cfg, 'train_dataloader')
    cut_topk(cfg, args.cfg_options)
    cut_schedule(cfg)
    setup_cpu_distributed(cfg)
    if 'runner_type' in cfg:
        runner = RUNNERS.build(cfg)
    else:
        runner = ToolRunner.from_cfg(cfg)
    if runner.train_loop is not None:
        # before schedules of no iteration fail
        check_batches(runner.train_loop.dataloader)
    runner.train()


if __name__ == '__main__':
    run_tool(main, ARGS, resumes=True)
