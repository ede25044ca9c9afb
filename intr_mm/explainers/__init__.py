from .attention import AttentionExplainer
from .base import BaseExplainer, CellMaps
from .evidence import EvidenceExplainer
from .function import FunctionExplainer
from .grad_cam import GradCAMExplainer
from .random_maps import RandomExplainer

__all__ = [
    'AttentionExplainer', 'BaseExplainer', 'CellMaps', 'EvidenceExplainer',
    'FunctionExplainer', 'GradCAMExplainer', 'RandomExplainer'
]
