import atexit
import time
from datetime import timedelta

import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device


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
    """
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

    They need the interpreter's lock for that. If it is gone by then, they
    abort the process; if the group is destroyed instead of waiting, the two
    can wait for each other forever (PyTorch 2.1).
    """
    time.sleep(.1)
