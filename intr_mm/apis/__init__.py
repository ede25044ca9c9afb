from .model_hub import register_models

__all__ = ['register_models']
