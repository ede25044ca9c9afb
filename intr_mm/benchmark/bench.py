from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .agreement import compare_outputs
from .case import Case, Side
from .child import Child, ChildFailed
from .counting import count_work
from .ours import LOW_PRECISION
from .results import Comparison, Measurement, Result
from .weights import save_random_weights, weights_file


class Bench:
    """Asks implementations in turn, each in a process of its own.

    Args:
        cfg: Full config.
        builders: Build the implementations, by name.
        weights: Folder for the weights.
        device: Where to compute.
        threads: Threads of PyTorch for the matrix peak.
        repeat: Runs of each side.
        profile: Whether to profile one more.

    Attributes:
        peaks: FLOP/s of :func:`matrix_peak`, which the first process measures
            before its first case.
    """

    def __init__(self,
                 cfg: Config,
                 builders: dict[str, Callable[[], Any]],
                 weights: Path,
                 device: str,
                 threads: int,
                 repeat: int,
                 profile: bool = False) -> None:
        self.cfg = cfg
        self.builders = builders
        self.weights = weights
        self.device = device
        self.repeat = repeat
        self.profile = profile
        self.threads = threads
        self.peaks: dict[str, float] = {}
        self._children: dict[str, Child] = {}
        self._trained = False

    def __enter__(self) -> 'Bench':
        return self

    def __exit__(self, *_) -> None:
        self._close()

    def _close(self) -> None:
        for child in self._children.values():
            child.close()
        self._children = {}

    def measure(self, case: Case, sides: Sequence[Side]) -> Result:
        """Measure a case.

        Args:
            case: What to measure.
            sides: Who is asked in turn, the reference first.

        Returns:
            What was measured; a side that ran out of memory holds the reason.
        """
        file = weights_file(self.weights, case.num_classes, official=False)
        if not case.files and not file.exists():
            save_random_weights(self.cfg, case.num_classes, case.seed,
                                self.weights)
        measurements = [Measurement(side) for side in sides]
        self._prepare(case, measurements)
        for _ in range(1 + self.repeat):
            for m in measurements:
                seconds = self._ask(m, 'run', measurements)
                m.seconds += [] if seconds is None else [seconds]
        flops = count_work(self.cfg, case)
        for m in measurements:
            m.seconds = m.seconds[1:]  # without the warm-up
            memory = self._ask(m, 'memory', measurements)
            m.peak_mib, m.growth_mib = memory or (None, None)
            m.output = self._ask(m, 'output', measurements)
            if self.profile:
                m.profile = self._ask(m, 'profile', measurements)
            if flops and m.seconds:
                m.share_of_peak = flops / m.median_seconds / self._peak(m)
        return Result(case, flops, measurements, _compare(measurements))

    def _prepare(self, case: Case, measurements: list[Measurement]) -> None:
        if case.training != self._trained:
            # Training changes how a process keeps memory.
            self._close()
            self._trained = case.training
        operations: dict[str, list[str]] = {}
        for m in measurements:
            operations.setdefault(m.side.implementation,
                                  []).append(m.side.operation)
        for name, of_child in operations.items():
            if name not in self._children:
                self._children[name] = Child(name, self.builders[name],
                                             self.device)
            child = self._children[name]
            with self._surviving(name, measurements):
                if not self.peaks:
                    self.peaks = child.ask('matrix_peak', self.threads)
                child.ask('prepare', case, of_child)

    def _ask(self, m: Measurement, method: str,
             measurements: list[Measurement]) -> Any:
        """The child's answer; None once it has failed."""
        if m.failure is not None:
            return None
        name = m.side.implementation
        with self._surviving(name, measurements):
            return self._children[name].ask(method, m.side.operation)

    @contextmanager
    def _surviving(self, name: str,
                   measurements: list[Measurement]) -> Iterator[None]:
        """Note that a child failed, and go on with the others."""
        try:
            yield
        except ChildFailed as error:
            self._children.pop(name).close()
            for m in measurements:
                if m.side.implementation == name:
                    m.failure, m.seconds = str(error), []

    def _peak(self, m: Measurement) -> float:
        low = m.side.implementation in LOW_PRECISION
        return self.peaks['bfloat16' if low else 'float32']


def _compare(measurements: list[Measurement]) -> list[Comparison]:
    reference, *others = measurements
    comparisons = []
    for other in others:
        comparison = Comparison(reference, other)
        if reference.output is not None and other.output is not None:
            exact = not {
                reference.side.implementation, other.side.implementation
            }.intersection(LOW_PRECISION)
            comparison.agreement = compare_outputs(reference.output,
                                                   other.output, exact)
        comparisons.append(comparison)
    return comparisons
