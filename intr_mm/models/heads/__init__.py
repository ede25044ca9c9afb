from .approx_intr_head import ApproxINTRHead
from .intr_head import INTRHead

__all__ = ['ApproxINTRHead', 'INTRHead']
