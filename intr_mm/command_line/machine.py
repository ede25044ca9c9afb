"""What a tool asks of the machine: display, precision, threads, memory and
processes."""
import atexit
import ctypes
import logging
import os
import sys
import time
from datetime import timedelta

import torch
import torch.distributed as dist
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.utils import digit_version

# of glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def check_display(show: bool) -> None:
    """Refuse to open windows where there is no display.

    Raises:
        ValueError: There is none.
    """
    if (show and sys.platform == 'linux' and not os.environ.get('DISPLAY')
            and not os.environ.get('WAYLAND_DISPLAY')):
        raise ValueError('--show opens windows, and DISPLAY names no display: '
                         'write pictures with --show-dir instead.')


def use_amp(optim_wrapper: ConfigDict, device: str) -> None:
    """Let a config train in mixed precision, in bfloat16 where there is it.

    Args:
        optim_wrapper: Config of the wrapper, changed in place; not on a CPU
            that would be slower in bfloat16.
        device: Type of the device, such as ``'cuda'``.
    """
    if device == 'cpu' and not _cpu_has_bfloat16():
        print_log(
            'This CPU has no instructions for bfloat16, so training is in '
            'float32.', 'current', logging.WARNING)
    # GPUs have bfloat16 since Ampere
    elif device == 'cpu' or (torch.cuda.is_available()
                             and torch.cuda.get_device_capability() >= (8, 0)):
        optim_wrapper.type = 'BFloat16OptimWrapper'
    else:
        optim_wrapper.type = 'AmpOptimWrapper'
        optim_wrapper.setdefault('loss_scale', 'dynamic')


def _cpu_has_bfloat16() -> bool:
    return (torch.backends.mkldnn.is_available()
            and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def advise_threads() -> None:
    """Say so where other processes keep the cores of a CPU busy.

    Threads that wait for each other are slowed down by the slowest: beside
    three processes on two cores, one thread was 6 times as fast as two. The
    number is not changed here, as the order of sums depends on it, and so
    whether a run can be repeated.
    """
    cores, threads = os.cpu_count(), torch.get_num_threads()
    load = os.getloadavg()[0] if hasattr(os, 'getloadavg') else 0
    if (get_device() == 'cpu' and 'OMP_NUM_THREADS' not in os.environ
            and threads > 1 and load > cores):
        print_log(
            f'Other processes keep the {cores} cores of this machine busy '
            f'(load {load:.1f}), and this one computes with {threads} '
            'threads: with OMP_NUM_THREADS=1 in the environment it may be '
            'several times as fast.', 'current', logging.WARNING)


def use_huge_pages() -> None:
    """Let PyTorch ask Linux for huge pages, where it computes on a CPU.

    Activations are taken from the system and given back at each step, and
    preparing their memory by pages of 4 KiB takes a fifth of a step.

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


def setup_cpu_distributed(cfg: Config) -> None:
    """Let ``--launcher pytorch`` train on CPU processes where no accelerator
    is at hand.

    MMEngine's launcher selects a CUDA device for each process and hands its
    index to DDP, and both fail on such a machine. The runner keeps a process
    group that exists already, and takes DDP's arguments from
    ``model_wrapper_cfg``, so nothing else has to differ.

    Args:
        cfg: Full config, of which ``model_wrapper_cfg`` is modified where the
            launcher is 'pytorch' and there is no accelerator.

    Raises:
        ValueError: No launcher started this process.
    """
    variable = dict(
        pytorch='RANK', slurm='SLURM_PROCID',
        mpi='OMPI_COMM_WORLD_LOCAL_RANK').get(cfg.launcher)
    if variable is not None and variable not in os.environ:
        raise ValueError(
            f'--launcher {cfg.launcher} needs {variable} in the environment, '
            'which the launcher sets: start the tool by dist_train.sh or '
            'dist_test.sh (torchrun), srun or mpirun, or leave --launcher '
            'out.')
    if cfg.launcher != 'pytorch' or get_device() != 'cpu':
        return
    dist_cfg = cfg.get('env_cfg', {}).get('dist_cfg', {})
    kwargs = {}
    if 'timeout' in dist_cfg:
        kwargs['timeout'] = timedelta(seconds=dist_cfg['timeout'])
    dist.init_process_group('gloo', **kwargs)
    atexit.register(let_gloo_finish)

    wrapper = cfg.get('model_wrapper_cfg') or dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    cfg.model_wrapper_cfg = dict(wrapper, device_ids=None)


def let_gloo_finish() -> None:
    """Let gloo's threads free the tensors of the last collective.

    They need the interpreter's lock for that, and abort the process if it is
    gone by then. Destroying the group ends them, as PyTorch advises since 2.4;
    100 of 100 pairs of processes ended well so on 2.11. On PyTorch 2.1 the
    two can wait for each other forever, so older versions just wait.
    """
    if digit_version(torch.__version__) < digit_version('2.4'):
        time.sleep(.1)
    elif dist.is_initialized():
        dist.destroy_process_group()
