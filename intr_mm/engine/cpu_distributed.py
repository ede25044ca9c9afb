import atexit
import gc
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
        cfg (Config): Full config, of which ``model_wrapper_cfg`` is modified
            where the launcher is 'pytorch' and there is no accelerator.
    """
    if cfg.launcher != 'pytorch' or get_device() != 'cpu':
        return
    dist_cfg = cfg.get('env_cfg', {}).get('dist_cfg', {})
    kwargs = {}
    if 'timeout' in dist_cfg:
        kwargs['timeout'] = timedelta(seconds=dist_cfg['timeout'])
    dist.init_process_group('gloo', **kwargs)
    atexit.register(end_cpu_distributed)

    wrapper = cfg.get('model_wrapper_cfg') or dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    cfg.model_wrapper_cfg = dict(wrapper, device_ids=None)


def end_cpu_distributed() -> None:
    """End gloo's threads, which can abort a process when they outlive its
    interpreter; at exit it is called by itself."""
    if dist.is_initialized():
        dist.destroy_process_group()
        # its last owners refer to each other
        gc.collect()
