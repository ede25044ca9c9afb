from .attend import attend
from .attention_figure import draw_attention, heat_colors
from .attention_heat import sample_attention
from .cell_geometry import (CellGeometry, geometry_of, infer_cell_geometry,
                            trace_cells)
from .explanation import Explanation
from .explanation_figure import choose_heads, draw_explanation, draw_memory
from .original_image import original_image
from .report import HTMLReport

__all__ = [
    'CellGeometry', 'Explanation', 'HTMLReport', 'attend', 'choose_heads',
    'draw_attention', 'draw_explanation', 'draw_memory', 'geometry_of',
    'heat_colors', 'infer_cell_geometry', 'original_image', 'sample_attention',
    'trace_cells'
]
