from .figure_files import render, save_figure
from .figures import (attention_figure, choose_heads, draw_attention,
                      draw_explanation, draw_memory, explanation_figure,
                      memory_figure)
from .heat import heat_colors
from .paper_figures import comparison_figure, gallery_figure, traits_figure
from .report import HTMLReport
from .style import FigureStyle

__all__ = [
    'FigureStyle', 'HTMLReport', 'attention_figure', 'choose_heads',
    'comparison_figure', 'draw_attention', 'draw_explanation', 'draw_memory',
    'explanation_figure', 'gallery_figure', 'heat_colors', 'memory_figure',
    'render', 'save_figure', 'traits_figure'
]
