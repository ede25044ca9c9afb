from .class_names import ClassNames
from .inferencer import INTRInferencer
from .model_hub import register_models

__all__ = ['ClassNames', 'INTRInferencer', 'register_models']
