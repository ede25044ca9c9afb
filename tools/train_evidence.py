#!/usr/bin/env python
"""Train an evidence head to explain a model that is trained already.

Backbone, neck and head of the model stay as they are. The new head learns the
model's predictions, and its maps add up to its own scores exactly. How often
the two predict the same is reported as `teacher/agreement`.
"""
import argparse
import os.path as osp

from intr_mm_flags import ToolParser, number, output_folder


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Train an evidence head on a trained model',
        'python tools/train_evidence.py configs/intr_cub.py CHECKPOINT')
    parser.add_argument('config', help='config of the trained model')
    parser.add_argument('checkpoint', help='its checkpoint file')
    parser.add_argument(
        '--work-dir',
        type=output_folder,
        help='folder of logs, checkpoints and the config of the new model '
        '(default: work_dirs/CONFIG_evidence)')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='resume from the latest checkpoint in the work directory')
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='start anew in a work directory that holds checkpoints')
    parser.add_argument(
        '--max-epochs', type=number(1), default=5, help='(default: 5)')
    parser.add_argument(
        '--lr',
        type=number(1e-8, kind=float),
        default=1e-3,
        help='(default: 0.001)')
    parser.add_argument(
        '--temperature',
        type=number(.01, kind=float),
        default=1.,
        help='divides the logits that are compared; above 1 where the model '
        'is all but certain of its training images (default: 1)')
    parser.add_argument(
        '--cutmix',
        type=number(.01, kind=float),
        metavar='ALPHA',
        help='also learn what the model predicts of feature maps pasted into '
        'each other, by CutMix with this alpha, such as 1; for small data '
        'sets, at twice the time of the head')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='enable automatic-mixed-precision training, in bfloat16 where it '
        'is supported')
    parser.add_cfg_options('the new config')
    return parser.parse_args()


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmpretrain.registry import MODELS

from intr_mm.checkpoints import choose_start, claim_work_dir
from intr_mm.command_line import (add_checkpoint_check, check_config,
                                  check_data_folders, fill_num_classes,
                                  merge_options, read_config, run_tool)
from intr_mm.command_line.machine import (keep_freed_memory,
                                          setup_cpu_distributed, use_amp,
                                          use_huge_pages)
from intr_mm.command_line.tool_runner import ToolRunner
from intr_mm.models import BaseExplainingHead, INTREncoder

NEEDS = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')


def evidence_model(model: ConfigDict,
                   temperature: float = 1.,
                   cutmix: float | None = None) -> ConfigDict:
    """Config of a model whose head explains another.

    Args:
        model: Config of an ``INTRClassifier`` or an ``ImageClassifier``.
        temperature, cutmix: See :class:`intr_mm.models.EvidenceReader`.
    """
    head, neck = model.head, model.get('neck')
    new = dict(
        type='EvidenceReader',
        num_classes=head.num_classes,
        auxiliary=head,
        distill=True,
        temperature=temperature,
        cutmix=cutmix)
    kept = ('channels_last', 'pad_after_backbone', 'feature_cache')
    model = ConfigDict(
        type='INTRClassifier',
        backbone=model.backbone,
        frozen=('backbone', 'neck'),
        **{name: model[name]
           for name in kept if name in model})
    if neck is not None and issubclass(MODELS.get(neck.type), INTREncoder):
        model.neck = neck
        new.update(embed_dims=neck.get('embed_dims', 256))
    elif head.get('in_channels') is not None:
        new.update(in_channels=head.in_channels, auxiliary_neck=neck)
    else:
        raise ValueError(
            f'{head.type} does not say how many channels it reads, so no '
            'evidence head can be put beside it: give the model an '
            'INTREncoder or a head with in_channels.')
    if issubclass(MODELS.get(head.type), BaseExplainingHead):
        new.update(num_heads=head.get('num_heads', 8))
    model.head = dict(new, reader_channels=2 * new.get('embed_dims', 256))
    return model


def prepare_config(args: argparse.Namespace) -> Config:
    cfg = read_config(args.config, 'model', 'train_dataloader')
    fill_num_classes(cfg, 'train_dataloader')
    cfg.model = evidence_model(cfg.model, args.temperature, args.cutmix)
    cfg.load_from = None if args.resume else args.checkpoint
    cfg.resume = args.resume
    cfg.launcher = 'none'
    stem = osp.splitext(osp.basename(args.config))[0]
    cfg.work_dir = args.work_dir or f'./work_dirs/{stem}_evidence'
    cfg.optim_wrapper = dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=args.lr, weight_decay=1e-4),
        clip_grad=dict(max_norm=1.0))
    cfg.param_scheduler = [
        dict(
            type='CosineAnnealingLR',
            T_max=args.max_epochs,
            convert_to_iter_based=True)
    ]
    cfg.train_cfg = dict(by_epoch=True, max_epochs=args.max_epochs)
    for evaluator in ('val_evaluator', 'test_evaluator'):
        if cfg.get(evaluator) is not None:
            cfg[evaluator] = [
                dict(type='Accuracy', topk=(1, )),
                dict(type='Agreement')
            ]
    if args.amp:
        use_amp(cfg.optim_wrapper, get_device())
    merge_options(cfg, args.cfg_options)
    return cfg


def main(args: argparse.Namespace) -> None:
    use_huge_pages()
    keep_freed_memory()
    cfg = prepare_config(args)
    check_config(cfg, *NEEDS)
    add_checkpoint_check(cfg)
    check_data_folders(cfg, 'train_dataloader', 'val_dataloader')
    setup_cpu_distributed(cfg)
    with claim_work_dir(cfg.work_dir):
        choose_start(cfg, args.checkpoint, args.overwrite)
        ToolRunner.from_cfg(cfg).train()
    name = osp.basename(args.config)
    print(f'Test and explain it with {osp.join(cfg.work_dir, name)}.')


if __name__ == '__main__':
    run_tool(main, ARGS, resumes=True)
