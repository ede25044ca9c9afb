from .intr_encoder import INTREncoder

__all__ = ['INTREncoder']
