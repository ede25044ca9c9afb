from .intr_head import INTRHead

__all__ = ['INTRHead']
