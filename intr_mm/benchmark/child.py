"""Processes that hold one implementation each, and do as they are told."""
import gc
import logging
import multiprocessing
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch

from .case import Case
from .memory import measure_memory, prefer_to_be_killed
from .peak import matrix_peak, synchronize
from .profiling import profile_operations

_SECONDS_TO_END = 30


class ChildFailed(RuntimeError):
    """A child ran out of memory or was killed."""


class Child:
    """A process with an implementation.

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
        """Call a method of the :class:`Worker` in the process.

        Args:
            method: Its name.
            *args: Its arguments.

        Returns:
            What it gives.

        Raises:
            ChildFailed: Memory did not suffice, or the process was killed.
            RuntimeError: Any other error, with the process's traceback.
        """
        try:
            self._connection.send((method, args))
            kind, value = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            raise ChildFailed('killed, probably out of memory (exit code '
                              f'{self._process.exitcode})') from error
        if kind == 'memory':
            raise ChildFailed('out of memory')
        if kind == 'error':
            raise RuntimeError(f'{self.name} failed:\n{value}')
        return value

    def close(self) -> None:
        """End the process, which stops to answer once nobody asks."""
        self._connection.close()
        self._process.join(_SECONDS_TO_END)
        self._process.terminate()


class Worker:
    """What runs in a child.

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
        """Run an operation once and give the seconds it took."""
        synchronize(self.device)
        start = time.perf_counter()
        result = self._runs[operation]()
        synchronize(self.device)
        seconds = time.perf_counter() - start
        if result is not None:
            self._outputs[operation] = result
        return seconds

    def memory(self, operation: str) -> tuple[float, float] | None:
        """Run an operation once and give its memory; see
        :func:`measure_memory`."""
        run = self._runs[operation]
        # the official code drops gradients within a step, mmengine after it
        released = sum(
            parameter.grad.nbytes for parameter in run.model.parameters()
            if parameter.grad is not None) if hasattr(run, 'model') else 0
        return measure_memory(run, self.device, released)

    def profile(self, operation: str) -> list[dict]:
        """Run an operation once; see :func:`profile_operations`."""
        return profile_operations(self._runs[operation], self.device)

    def matrix_peak(self, threads: int) -> dict[str, float]:
        """See :func:`matrix_peak`."""
        return matrix_peak(self.device, threads)

    def output(self, operation: str) -> np.ndarray | None:
        """The output of the last run, or the loss, in float32."""
        output = self._outputs[operation]
        return None if output is None else output.float().cpu().numpy()


def _main(connection: Connection, build: Callable[[], Any],
          device: str) -> None:
    logging.disable(logging.WARNING)  # mmengine names each parameter's rate
    # float32 is to mean float32 for all, on GPUs too
    torch.backends.cudnn.allow_tf32 = False
    prefer_to_be_killed()
    serve(connection, build, device)


def serve(connection: Connection, build: Callable[[], Any],
          device: str) -> None:
    """Answer until the parent ends the process.

    Args:
        connection: To the parent.
        build: Builds the implementation.
        device: Where it computes.
    """
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
            kind = 'memory' if _is_memory_error(error) else 'error'
            connection.send((kind, traceback.format_exc()))


def _is_memory_error(error: Exception) -> bool:
    return isinstance(
        error,
        (MemoryError, torch.cuda.OutOfMemoryError)) or ("can't allocate memory"
                                                        in str(error))
