from .attend import attend
from .attention_figure import draw_attention
from .attention_heat import sample_attention
from .cell_geometry import (CellGeometry, geometry_of, infer_cell_geometry,
                            trace_cells)
from .original_image import original_image

__all__ = [
    'CellGeometry', 'attend', 'draw_attention', 'geometry_of',
    'infer_cell_geometry', 'original_image', 'sample_attention', 'trace_cells'
]
