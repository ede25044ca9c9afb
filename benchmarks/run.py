"""The command line: asks implementations in turn and reports."""
import argparse
import platform
import re
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import mmcv
import mmengine
import mmpretrain
import torch
from mmengine.config import Config

import intr_mm
from intr_mm.command_line import (DATA_FILES, OptionsAction, ToolParser,
                                  device, load_config, number, output_file)
from .cases import (CASES, CLASS_COUNTS, EXPORTED_MODES, INFERENCE_MODES,
                    OF_PHOTOS, TRAINING_MODES, Case, Task, plan)
from .implementations import (ExportedINTR, OfficialINTR, OurINTR,
                              check_official_code, official_args)
from .inputs import save_random_weights, weights_file
from .results import (PLOTTED, Measurement, Result, format_profiles,
                      format_results, plot_classes)
from .workers import WorkerFailed, WorkerProcess

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'intr_cub.py'


@dataclass
class Bench:
    """Asks implementations in turn, each in a process of its own.

    Args:
        cfg: Full config.
        builders: Build the implementations, by name.
        weights: Folder for the weights.
        repeat: Runs of each task after one to warm up.
    """
    cfg: Config
    builders: dict[str, Callable[[], Any]]
    weights: Path
    device: str
    repeat: int
    profile: bool = False
    _workers: dict[str, WorkerProcess] = field(default_factory=dict)
    _failures: dict[str, str] = field(default_factory=dict)
    _trained: bool = False

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def measure(self, case: Case, tasks: list[Task]) -> Result:
        """Ask for the tasks of a case in turn, the reference first; what ran
        out of RAM says so."""
        if not case.files and not weights_file(self.weights,
                                               case.num_classes).exists():
            save_random_weights(self.cfg, case.num_classes, case.seed,
                                self.weights)
        self._failures.clear()
        self._prepare(case, tasks)
        measurements = [Measurement(task) for task in tasks]

        def ask(m: Measurement, method: str) -> Any:
            return self._ask(m.task.implementation, method, m.task.operation)

        for _ in range(1 + self.repeat):
            for m in measurements:
                m.seconds.append(ask(m, 'run'))
        for m in measurements:
            m.peak_mib, m.growth_mib = ask(m, 'peak_ram') or (None, None)
            m.output = ask(m, 'output')
            if self.profile:
                m.profile = ask(m, 'profile')
        for m in measurements:
            m.failure = self._failures.get(m.task.implementation)
            # without the warm-up
            m.seconds = m.seconds[1:] if m.failure is None else []
        return Result(case, measurements)

    def _prepare(self, case: Case, tasks: list[Task]) -> None:
        if case.training != self._trained:
            # Training changes how a process keeps RAM.
            self.close()
            self._trained = case.training
        operations: dict[str, list[str]] = {}
        for task in tasks:
            operations.setdefault(task.implementation,
                                  []).append(task.operation)
        for name, wanted in operations.items():
            if name not in self._workers:
                self._workers[name] = WorkerProcess(name, self.builders[name],
                                                    self.device)
            self._ask(name, 'prepare', case, wanted)

    def _ask(self, name: str, method: str, *args: Any) -> Any:
        """A worker's answer; None once it has failed, and others go on."""
        if name in self._failures:
            return None
        try:
            return self._workers[name].ask(method, *args)
        except WorkerFailed as error:
            self._failures[name] = str(error)
            self._workers.pop(name).close()


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Measure speed and RAM of INTR, alone or beside the '
        'official code; benchmarks/README.md says how.',
        'python tools/analysis_tools/benchmark.py --out benchmark.json')
    add = parser.add_argument
    add('config', nargs='?', default=str(CONFIG), help='config file path')
    add('--official', help='checkout of github.com/Imageomics/INTR')
    add('--cases',
        '--works',
        nargs='+',
        choices=CASES,
        help='what to measure; all by default, data only with --photos')
    modes = list(dict.fromkeys([*INFERENCE_MODES, *TRAINING_MODES]))
    add('--modes',
        nargs='+',
        choices=[*modes, *EXPORTED_MODES],
        default=modes,
        help='of ours; those of exported files, which need OpenVINO, only if '
        'named')
    add('--no-compile',
        action='store_true',
        help='fast modes without torch.compile, which needs a C++ compiler')
    add('--photos', help='folder of class folders, for data')
    add('--num-photos', type=number(1), default=64, help='how many, for data')
    add('--classes', type=number(1), default=200, help='number of classes')
    add('--class-counts',
        nargs='+',
        type=number(1),
        help='numbers of classes where they vary; by default '
        f'{CLASS_COUNTS["decoder"]} for the decoder alone, '
        f'else {CLASS_COUNTS["classes"]}')
    add('--batch-sizes',
        nargs='+',
        type=number(1),
        default=[1, 8],
        help='to predict and to decode')
    add('--train-batch-size', type=number(1), default=4, help='to train')
    for name, default, text in (
        ('--img-size', (800, 1066), 'height and width to predict on'),
        ('--train-img-size', (640, 640), 'to train on'),
        ('--classes-img-size', (512, 512), 'where classes vary'),
        ('--memory-size', (25, 34), 'cells, for the decoder alone'),
    ):
        add(name, nargs=2, type=number(1), default=default, help=text)
    add('--repeat', type=number(1), default=5, help='runs of each after one')
    add('--profile',
        action='store_true',
        help='print the ten longest operations of each')
    add('--device', type=device, default='cpu', help='device to compute on')
    add('--threads',
        type=number(1),
        default=torch.get_num_threads(),
        help='threads of PyTorch; data takes one')
    add('--seed', type=number(0), default=0, help='of weights and inputs')
    add('--out',
        type=output_file(*DATA_FILES),
        help='JSON file for all figures')
    add('--plot',
        type=output_file('.png', '.pdf', '.svg', '.jpg'),
        help=f'picture of the costs in {" and ".join(PLOTTED)}')
    add('--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='override settings of the config, as in `xxx=yyy`')
    args = parser.parse_args()
    if args.cases is None:
        args.cases = [c for c in CASES if c not in OF_PHOTOS or args.photos]
    if set(OF_PHOTOS).intersection(args.cases) and not args.photos:
        parser.error(f'{" and ".join(OF_PHOTOS)} need --photos')
    if args.plot and not set(args.cases).intersection(PLOTTED):
        parser.error(f'--plot needs {" or ".join(PLOTTED)} in --cases')
    return args


def measure(args: argparse.Namespace, cfg: Config,
            cases: list[tuple[Case, list[Task]]]) -> list[Result]:
    results = []
    with tempfile.TemporaryDirectory() as folder:
        settings = dict(
            cfg=cfg.to_dict(), weights=Path(folder), device=args.device)
        builders = {
            mode:
            partial(
                OurINTR, mode=mode, compile=not args.no_compile, **settings)
            for mode in args.modes if mode not in EXPORTED_MODES
        }
        builders.update({
            mode:
            partial(
                ExportedINTR,
                cfg=settings['cfg'],
                dtype=dtype,
                weights=settings['weights'])
            for mode, dtype in EXPORTED_MODES.items()
        })
        if args.official is not None:
            builders['official'] = partial(
                OfficialINTR, code=Path(args.official).resolve(), **settings)
        with closing(
                Bench(cfg, builders, Path(folder), args.device, args.repeat,
                      args.profile)) as bench:
            for case, tasks in cases:
                print(f'{case}: {", ".join(map(str, tasks))}', flush=True)
                results.append(bench.measure(case, tasks))
                # a long run that is cut short leaves what it has
                save(args, results)
    return results


def save(args: argparse.Namespace, results: list[Result]) -> None:
    if args.out is not None:
        figures = dict(
            config=args.config,
            machine=describe_machine(args.device, args.threads),
            repeat=args.repeat,
            seed=args.seed,
            cases=[result.to_dict() for result in results])
        mmengine.dump(figures, args.out, indent=2)


def describe_machine(device: str, threads: int) -> dict:
    """What figures depend on besides the code."""
    path = Path('/proc/cpuinfo')
    model = path.exists() and re.search(r'^model name\s*: (.*)',
                                        path.read_text(), re.M)
    return dict(
        device=device,
        threads=threads,
        cpu=model[1] if model else platform.processor(),
        gpu=torch.cuda.get_device_name(device)
        if device.startswith('cuda') else None,
        platform=platform.platform(),
        python=platform.python_version(),
        **{
            package.__name__: package.__version__
            for package in (torch, mmengine, mmcv, mmpretrain, intr_mm)
        })


def main() -> None:
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options, 'model')
    try:
        if args.official is not None:
            check_official_code(Path(args.official))
            official_args(cfg, args.classes, args.device)
        cases = plan(args)
    except (ValueError, ImportError, RuntimeError) as error:
        raise SystemExit(str(error)) from error
    results = measure(args, cfg, cases)
    print(format_results(results))
    if args.profile:
        print(format_profiles(results))
    if args.plot is not None:
        plot_classes(results).savefig(args.plot, dpi=150)
    failed = [text for result in results for text in result.disagreements]
    if failed:
        raise SystemExit('\n'.join(['Outputs disagree in float32:', *failed]))
