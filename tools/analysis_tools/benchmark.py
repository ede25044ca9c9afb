#!/usr/bin/env python
"""Measure speed and memory of INTR, alone or beside the official code.

    python tools/analysis_tools/benchmark.py --official DIR

DIR is a checkout of github.com/Imageomics/INTR. How it is measured:

- Each implementation lives in a process of its own, all with the same random
  weights (normalisation statistics, biases and scales too), the same inputs,
  the same number of threads and, for training, the recipe of the config. This
  package takes part in modes: ``fp32``, the model as configured; to predict,
  ``fast-fp32`` and ``fast-bf16`` of ``optimize_for_inference``; to train,
  ``amp``. On GPUs float32 is computed without TF32. On CPUs it manages
  memory as ``tools/train.py`` and ``tools/test.py`` do (see
  ``intr_mm/engine/cpu_memory.py``), the official code as its users have it;
  ``THP_MEM_ALLOC_ENABLE=1`` and ``MALLOC_MMAP_THRESHOLD_=1073741824`` in the
  environment are for both.
- After one run to warm up, they are asked in turn: A B A B. Ratios are of
  pairs, given as median [lowest, highest]. Loading, normalising and padding
  images is not part of a run.
- Memory is that of one more run, so that measuring it takes no time of the
  others: the peak of the process, and by how much it lies above what was held
  just before. On CPUs it is resident memory, and each process holds the
  imports of this package; on GPUs, what PyTorch allocates. Optimiser states
  are held before.
- Outputs are compared: logits, and of training the loss without dropout. A
  difference above 1e-4 of the largest logit (or of 1, if that is larger) in
  float32 makes the exit status 1.
- FLOPs are two for each multiply-add of convolutions, projections and
  attention, counted once even where an implementation computes them twice;
  training counts threefold, less the backward pass of frozen convolutions.
  They are related to the speed of a large product of matrices, measured in
  the same run in float32 and in bfloat16.
- ``--profile`` runs each once more under PyTorch's profiler.
"""
import argparse
import tempfile
from functools import partial
from pathlib import Path

import mmengine
import torch
from mmengine.config import Config, DictAction

from intr_mm.benchmark import (CLASS_COUNTS, INFERENCE_MODES, PLOTTED,
                               TRAINING_MODES, WORKS, Bench, OfficialINTR,
                               Options, OurINTR, Result, check_official_code,
                               describe_machine, find_photos, format_profiles,
                               format_results, official_args, plan,
                               plot_classes)
from intr_mm.command_line import merge_options

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'intr_cub.py'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Measure speed and memory of INTR',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add('config', nargs='?', default=str(CONFIG), help='config file path')
    add('--official', help='checkout of github.com/Imageomics/INTR')
    add('--works',
        nargs='+',
        choices=list(WORKS),
        help='what to measure; all by default, data only with --photos')
    modes = list(dict.fromkeys([*INFERENCE_MODES, *TRAINING_MODES]))
    add('--modes', nargs='+', choices=modes, default=modes, help='of ours')
    add('--no-compile',
        action='store_true',
        help='fast modes without torch.compile, which needs a C++ compiler')
    add('--photos', help='folder of class folders, for data')
    add('--num-photos', type=int, default=64, help='how many, for data')
    add('--classes', type=int, default=200, help='number of classes')
    add('--class-counts',
        nargs='+',
        type=int,
        help='numbers of classes where they vary; by default '
        f'{CLASS_COUNTS["decoder"]} for the decoder alone, '
        f'else {CLASS_COUNTS["classes"]}')
    add('--batch-sizes',
        nargs='+',
        type=int,
        default=[1, 8],
        help='to predict and to decode')
    add('--train-batch-size', type=int, default=4, help='to train')
    for name, default, text in (
        ('--img-size', (800, 1066), 'height and width to predict on'),
        ('--train-img-size', (640, 640), 'to train on'),
        ('--classes-img-size', (512, 512), 'where classes vary'),
        ('--memory-size', (25, 34), 'cells, for the decoder alone'),
    ):
        add(name, nargs=2, type=int, default=default, help=text)
    add('--repeat', type=int, default=5, help='runs of each after one')
    add('--profile',
        action='store_true',
        help='print the ten longest operations of each')
    add('--device', default='cpu', help='device to compute on')
    add('--threads',
        type=int,
        default=torch.get_num_threads(),
        help='threads of PyTorch; data takes one')
    add('--seed', type=int, default=0, help='of weights and inputs')
    add('--out', help='JSON file for all figures')
    add('--plot', help=f'picture of the costs in {" and ".join(PLOTTED)}')
    add('--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config, as in `xxx=yyy`')
    args = parser.parse_args()
    if args.repeat < 1:
        parser.error('--repeat must be at least 1')
    if args.works is None:
        args.works = [w for w in WORKS if w != 'data' or args.photos]
    if 'data' in args.works and not args.photos:
        parser.error('data needs --photos')
    if args.plot and not set(args.works).intersection(PLOTTED):
        parser.error(f'--plot needs {" or ".join(PLOTTED)} in --works')
    return args


def make_options(args: argparse.Namespace) -> Options:
    counts = CLASS_COUNTS
    if args.class_counts is not None:
        counts = dict.fromkeys(counts, args.class_counts)
    return Options(
        official=args.official is not None,
        modes=tuple(args.modes),
        threads=args.threads,
        num_classes=args.classes,
        class_counts=counts,
        batch_sizes=tuple(args.batch_sizes),
        shape=tuple(args.img_size),
        train_batch_size=args.train_batch_size,
        train_shape=tuple(args.train_img_size),
        classes_shape=tuple(args.classes_img_size),
        memory_shape=tuple(args.memory_size),
        photos=() if args.photos is None else find_photos(
            args.photos, args.num_photos),
        seed=args.seed)


def make_builders(args: argparse.Namespace, cfg: Config,
                  weights: Path) -> dict[str, partial]:
    settings = dict(cfg=cfg.to_dict(), weights=weights, device=args.device)
    builders = {
        mode:
        partial(OurINTR, mode=mode, compile=not args.no_compile, **settings)
        for mode in args.modes
    }
    if args.official is not None:
        builders['official'] = partial(
            OfficialINTR, code=Path(args.official).resolve(), **settings)
    return builders


def measure(args: argparse.Namespace, cfg: Config,
            options: Options) -> list[Result]:
    results = []
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder)
        builders = make_builders(args, cfg, weights)
        with Bench(cfg, builders, weights, args.device, args.threads,
                   args.repeat, args.profile) as bench:
            for case, sides in plan(args.works, options):
                print(f'{case}: {", ".join(map(str, sides))}', flush=True)
                results.append(bench.measure(case, sides))
                # a long run that is cut short leaves what it has
                save(args, bench.peaks, results)
    return results


def save(args: argparse.Namespace, peaks: dict, results: list[Result]) -> None:
    if args.out is not None:
        figures = dict(
            config=args.config,
            machine=describe_machine(args.device, args.threads),
            matrix_peak_flops_per_second=peaks,
            repeat=args.repeat,
            seed=args.seed,
            cases=[result.to_dict() for result in results])
        mmengine.dump(figures, args.out, indent=2)


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    merge_options(cfg, args.cfg_options)
    try:
        if args.official is not None:
            check_official_code(Path(args.official))
            official_args(cfg, args.classes, args.device)
        options = make_options(args)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    results = measure(args, cfg, options)
    print(format_results(results))
    if args.profile:
        print(format_profiles(results))
    if args.plot is not None:
        plot_classes(results, args.plot)
    failed = [text for result in results for text in result.disagreements]
    if failed:
        raise SystemExit('\n'.join(['Outputs disagree in float32:', *failed]))


if __name__ == '__main__':
    main()
