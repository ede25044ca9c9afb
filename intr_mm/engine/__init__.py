from .fast_inference import FastInferenceHook, optimize_for_inference
from .hooks import *  # noqa: F401,F403
from .model_utils import unwrap_model
from .optimizers import BFloat16OptimWrapper, FusedAdamW

__all__ = [
    'BFloat16OptimWrapper', 'FastInferenceHook', 'FusedAdamW',
    'optimize_for_inference', 'unwrap_model'
]
