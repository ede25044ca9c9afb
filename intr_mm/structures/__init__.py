from .cell_geometry import (CellGeometry, infer_cell_geometry,
                            remove_forward_overrides, trace_cells)
from .explanation import Explanation

__all__ = [
    'CellGeometry', 'Explanation', 'infer_cell_geometry',
    'remove_forward_overrides', 'trace_cells'
]
