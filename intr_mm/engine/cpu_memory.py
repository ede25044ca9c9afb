"""Memory of activations on a CPU. They are taken from the system and given
back at each step, and preparing 4 KiB at a time takes a fifth of a step."""
import ctypes
import os

from mmengine.device import get_device

# of glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def use_huge_pages() -> None:
    """Let PyTorch ask Linux for huge pages, where it computes on a CPU.

    To be called before the first tensor is made. PyTorch 2.1 and other
    systems ignore it; ``THP_MEM_ALLOC_ENABLE=0`` in the environment prevents
    it.
    """
    if get_device() == 'cpu':
        os.environ.setdefault('THP_MEM_ALLOC_ENABLE', '1')


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for the next step, where PyTorch computes
    on a CPU.

    The process holds its peak from then on, and up to a tenth more where
    images differ in size. Other C libraries ignore it;
    ``MALLOC_MMAP_THRESHOLD_`` in the environment prevents it.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if (get_device() == 'cpu' and mallopt is not None
            and 'MALLOC_MMAP_THRESHOLD_' not in os.environ):
        mallopt(_M_MMAP_THRESHOLD, 2**30)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
