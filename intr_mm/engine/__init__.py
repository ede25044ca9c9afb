from .atomic_backend import AtomicLocalBackend
from .bf16_optim_wrapper import BFloat16OptimWrapper
from .checkpoint_loading import load_weights
from .cpu_distributed import setup_cpu_distributed
from .data_folders import check_data_folders
from .hooks import *  # noqa: F401,F403
from .model_utils import unwrap_model

__all__ = [
    'AtomicLocalBackend', 'BFloat16OptimWrapper', 'check_data_folders',
    'load_weights', 'setup_cpu_distributed', 'unwrap_model'
]
