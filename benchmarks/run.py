"""Asks implementations in turn and reports."""
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
from intr_mm.command_line import load_config
from .cases import Case, Task, plan
from .flags import EXPORTED_MODES
from .implementations import (ExportedINTR, OfficialINTR, OurINTR,
                              check_official_code, official_args)
from .inputs import save_random_weights, weights_file
from .results import (Measurement, Result, format_profiles, format_results,
                      plot_classes)
from .workers import WorkerFailed, WorkerProcess


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


def main(args: argparse.Namespace) -> None:
    args.threads = args.threads or torch.get_num_threads()
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
