from .attention import AttentionExplainer
from .base import BaseExplainer, CellMaps
from .evidence import EvidenceExplainer

__all__ = [
    'AttentionExplainer', 'BaseExplainer', 'CellMaps', 'EvidenceExplainer'
]
