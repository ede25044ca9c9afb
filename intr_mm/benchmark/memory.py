import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

import torch

_MIB = 2**20
_STATUS = Path('/proc/self/status')
_OOM_SCORE = Path('/proc/self/oom_score_adj')
_CLEAR_REFS = Path('/proc/self/clear_refs')


def measure_memory(run: Callable[[], object],
                   device: str,
                   released: int = 0) -> tuple[float, float] | None:
    """Peak memory of a call.

    Memory that earlier calls freed is given back to the system before, or a
    call would seem to need none. On CPUs it is the resident memory of the
    process, on GPUs what PyTorch has allocated.

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
        return _cuda_memory(run, released)
    if not _CLEAR_REFS.exists():
        return None
    _trim()
    _CLEAR_REFS.write_text('5')  # peak := what is resident now
    before = _resident('VmRSS') - released / _MIB
    run()
    peak = _resident('VmHWM')
    return peak, peak - before


def prefer_to_be_killed() -> None:
    """Let Linux end this process first where memory runs out, not the one
    that notes what happened."""
    if _OOM_SCORE.exists():
        _OOM_SCORE.write_text('1000')


def _cuda_memory(run: Callable[[], object],
                 released: int) -> tuple[float, float]:
    torch.cuda.empty_cache()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() - released
    run()
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated()
    return peak / _MIB, (peak - before) / _MIB


def _trim() -> None:
    """Give freed memory back; a matter of glibc."""
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(0)


def _resident(field: str) -> float:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f'{field}:'):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f'{_STATUS} has no {field}.')
