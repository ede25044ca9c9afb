from .attention import (AttentionExplainer, EvidenceExplainer, RandomExplainer,
                        image_rng)
from .base import BaseExplainer, FunctionExplainer
from .grad_cam import GradCAMExplainer

__all__ = [
    'AttentionExplainer', 'BaseExplainer', 'EvidenceExplainer',
    'FunctionExplainer', 'GradCAMExplainer', 'RandomExplainer', 'image_rng'
]
