from .atomic_backend import AtomicLocalBackend
from .bf16_optim_wrapper import BFloat16OptimWrapper, use_amp
from .checkpoint_loading import load_weights
from .cpu_distributed import setup_cpu_distributed
from .cpu_memory import keep_freed_memory, use_huge_pages
from .data_folders import check_data_folders
from .data_options import fill_num_classes, merge_options, move_data_root
from .fast_inference import optimize_for_inference
from .fused_adamw import FusedAdamW
from .hooks import *  # noqa: F401,F403
from .model_utils import unwrap_model
from .weight_files import (read_checkpoint, refuse_in_one_sentence,
                           report_conversion, save_weights)

__all__ = [
    'AtomicLocalBackend', 'BFloat16OptimWrapper', 'FusedAdamW',
    'check_data_folders', 'fill_num_classes', 'keep_freed_memory',
    'load_weights', 'merge_options', 'move_data_root',
    'optimize_for_inference', 'read_checkpoint', 'refuse_in_one_sentence',
    'report_conversion', 'save_weights', 'setup_cpu_distributed',
    'unwrap_model', 'use_amp', 'use_huge_pages'
]
