import platform
from pathlib import Path

import mmcv
import mmengine
import mmpretrain
import torch

from intr_mm.version import __version__


def describe_machine(device: str, threads: int) -> dict:
    """What figures depend on besides the code.

    Args:
        device: Where is computed.
        threads: Threads of PyTorch.

    Returns:
        Names and versions.
    """
    return dict(
        device=device,
        threads=threads,
        cpu=_cpu_model(),
        gpu=torch.cuda.get_device_name(device)
        if device.startswith('cuda') else None,
        platform=platform.platform(),
        python=platform.python_version(),
        torch=torch.__version__,
        mmengine=mmengine.__version__,
        mmcv=mmcv.__version__,
        mmpretrain=mmpretrain.__version__,
        intr_mm=__version__)


def _cpu_model() -> str:
    path = Path('/proc/cpuinfo')
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor()
