from .figures import (choose_heads, draw_attention, draw_explanation,
                      draw_memory, heat_colors)
from .report import HTMLReport

__all__ = [
    'HTMLReport', 'choose_heads', 'draw_attention', 'draw_explanation',
    'draw_memory', 'heat_colors'
]
