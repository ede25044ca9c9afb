import time

import torch

_REPEATS = 5
_ENOUGH_SECONDS = 0.1
_LARGEST = 8192


def matrix_peak(device: str, threads: int) -> dict[str, float]:
    """Measure how fast large matrices are multiplied.

    Args:
        device: Where to compute.
        threads: Threads of PyTorch.

    Returns:
        FLOP/s in ``'float32'`` and ``'bfloat16'``, best of five; one
        multiply-add is two FLOPs.
    """
    torch.set_num_threads(threads)
    return {
        name: _peak(getattr(torch, name), device)
        for name in ('float32', 'bfloat16')
    }


def _peak(dtype: torch.dtype, device: str) -> float:
    size = 256
    seconds = _multiply(size, dtype, device)
    while seconds < _ENOUGH_SECONDS and size < _LARGEST:
        size *= 2
        seconds = _multiply(size, dtype, device)
    best = min(_multiply(size, dtype, device) for _ in range(_REPEATS))
    return 2 * size**3 / min(best, seconds)


def _multiply(size: int, dtype: torch.dtype, device: str) -> float:
    a = torch.ones(size, size, dtype=dtype, device=device)
    a @ a
    synchronize(device)
    start = time.perf_counter()
    a @ a
    synchronize(device)
    return time.perf_counter() - start


def synchronize(device: str) -> None:
    """Wait until a device has done what it was told.

    Args:
        device: The device.
    """
    if device.startswith('cuda'):
        torch.cuda.synchronize()
