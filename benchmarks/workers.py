"""Processes that hold one implementation each, and what they measure."""
import ctypes
import gc
import logging
import multiprocessing
import re
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from .cases import Case

_MIB = 2**20
_STATUS = Path('/proc/self/status')
_OOM_SCORE = Path('/proc/self/oom_score_adj')
_CLEAR_REFS = Path('/proc/self/clear_refs')
_SECONDS_TO_END = 30
_LONGEST = 10  # operations of a profile


class WorkerFailed(RuntimeError):
    """A worker ran out of RAM or was killed."""


class WorkerProcess:
    """A :class:`Worker` in a process of its own.

    Args:
        name: Name for messages.
        build: Builds the implementation, in the process.
        device: Where it computes.
    """

    def __init__(self, name: str, build: Callable[[], Any],
                 device: str) -> None:
        self.name = name
        context = multiprocessing.get_context('spawn')
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_main, args=(theirs, build, device), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, method: str, *args: Any) -> Any:
        """What a method of the worker returns.

        Raises:
            WorkerFailed: RAM did not suffice, or the process was killed.
            RuntimeError: Any other error, with the process's traceback.
        """
        try:
            self._connection.send((method, args))
            kind, value = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            raise WorkerFailed('killed, probably out of memory (exit code '
                               f'{self._process.exitcode})') from error
        if kind == 'memory':
            raise WorkerFailed('out of memory')
        if kind == 'error':
            raise RuntimeError(f'{self.name} failed:\n{value}')
        return value

    def close(self) -> None:
        """End the process, which stops once nobody asks."""
        self._connection.close()
        self._process.join(_SECONDS_TO_END)
        self._process.terminate()


class Worker:
    """Runs and measures the operations of an implementation.

    Args:
        implementation: Its methods prepare operations on a case.
        device: Where it computes.
    """

    def __init__(self, implementation: Any, device: str) -> None:
        self.implementation = implementation
        self.device = device
        self._runs: dict[str, Callable] = {}
        self._outputs: dict[str, Any] = {}

    def prepare(self, case: Case, operations: list[str]) -> None:
        """Prepare operations on a case, instead of those before."""
        self._runs, self._outputs = {}, {}
        gc.collect()
        torch.set_num_threads(case.threads)
        for operation in operations:
            prepare = getattr(self.implementation, operation)
            self._runs[operation], self._outputs[operation] = prepare(case)

    def run(self, operation: str) -> float:
        """Seconds of one run."""
        synchronize(self.device)
        start = time.perf_counter()
        result = self._runs[operation]()
        synchronize(self.device)
        seconds = time.perf_counter() - start
        if result is not None:
            self._outputs[operation] = result
        return seconds

    def output(self, operation: str) -> np.ndarray | None:
        """The output of the last run, or the loss, in float32."""
        output = self._outputs[operation]
        return None if output is None else output.float().cpu().numpy()

    def peak_ram(self, operation: str) -> tuple[float, float] | None:
        """See :func:`measure_ram`."""
        run = self._runs[operation]
        # the official code drops gradients within a step, mmengine after it
        released = sum(
            parameter.grad.nbytes for parameter in run.model.parameters()
            if parameter.grad is not None) if hasattr(run, 'model') else 0
        return measure_ram(run, self.device, released)

    def profile(self, operation: str) -> list[dict]:
        """PyTorch's ten longest operations of one run.

        Returns:
            ``name``, ``calls``, ``seconds`` without those of the operations
            within, and ``share`` of them all.
        """
        activities = [ProfilerActivity.CPU]
        if self.device != 'cpu':
            activities.append(ProfilerActivity.CUDA)
        with profile(activities=activities) as profiler:
            self._runs[operation]()
            synchronize(self.device)
        operations = profiler.key_averages()
        key = 'self_cpu_time_total'
        if self.device != 'cpu':
            # 'cuda' until PyTorch 2.4
            new = hasattr(operations[0], 'self_device_time_total')
            key = f'self_{"device" if new else "cuda"}_time_total'
        seconds = {each: getattr(each, key) / 1e6 for each in operations}
        longest = sorted(operations, key=seconds.get, reverse=True)[:_LONGEST]
        total = sum(seconds.values())
        return [
            dict(
                name=each.key,
                calls=each.count,
                seconds=seconds[each],
                share=seconds[each] / total) for each in longest
        ]


def measure_ram(run: Callable[[], object],
                device: str,
                released: int = 0) -> tuple[float, float] | None:
    """Peak RAM of a call.

    What earlier calls freed is given back to the system before, or a call
    would seem to need none. On CPUs it is the resident memory of the process,
    on GPUs what PyTorch has allocated.

    Args:
        run: What to call.
        device: Where it computes.
        released: Bytes held before that the call lets go, such as the last
            step's gradients; they are no part of what was held before.

    Returns:
        MiB at the peak in all, and MiB by which the call rose above what was
        held before. None where the system does not tell, as without Linux's
        ``/proc``.
    """
    gc.collect()
    if device.startswith('cuda'):
        torch.cuda.empty_cache()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() - released
        run()
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated()
        return peak / _MIB, (peak - before) / _MIB
    if not _CLEAR_REFS.exists():
        return None
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)  # of glibc
    if trim is not None:
        trim(0)
    _CLEAR_REFS.write_text('5')  # peak := what is resident now
    before = _resident('VmRSS') - released / _MIB
    run()
    peak = _resident('VmHWM')
    return peak, peak - before


def _resident(field: str) -> float:
    return int(re.search(rf'{field}:\s*(\d+)', _STATUS.read_text())[1]) / 1024


def synchronize(device: str) -> None:
    """Wait until a device has done what it was told."""
    if device.startswith('cuda'):
        torch.cuda.synchronize()


def _main(connection: Connection, build: Callable[[], Any],
          device: str) -> None:
    logging.disable(logging.WARNING)  # mmengine names each parameter's rate
    # float32 is to mean float32 for all, on GPUs too
    torch.backends.cudnn.allow_tf32 = False
    if _OOM_SCORE.exists():
        # to be killed before the process that notes what happened
        _OOM_SCORE.write_text('1000')
    serve(connection, build, device)


def serve(connection: Connection, build: Callable[[], Any],
          device: str) -> None:
    """Answer a :class:`WorkerProcess` until it closes the connection."""
    worker = None
    while True:
        try:
            method, args = connection.recv()
        except EOFError:
            return
        try:
            worker = worker or Worker(build(), device)
            connection.send(('ok', getattr(worker, method)(*args)))
        except Exception as error:
            memory = isinstance(error,
                                (MemoryError, torch.cuda.OutOfMemoryError
                                 )) or "can't allocate memory" in str(error)
            connection.send(
                ('memory' if memory else 'error', traceback.format_exc()))
