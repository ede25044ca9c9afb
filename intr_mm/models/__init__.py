from .backbones import TinyResNet, TorchvisionResNet
from .base_head import BaseExplainingHead, Decoded
from .classifier import INTRClassifier
from .data_preprocessor import INTRDataPreprocessor
from .encoder import INTREncoder
from .evidence_head import EvidenceHead
from .evidence_reader import EvidenceReader
from .explain import explain_batch, prepare_images
from .feature_cache import FeatureCache
from .head import INTRHead
from .multi_label_head import MultiLabelINTRHead

__all__ = [
    'BaseExplainingHead', 'Decoded', 'EvidenceHead', 'EvidenceReader',
    'FeatureCache', 'INTRClassifier', 'INTRDataPreprocessor', 'INTREncoder',
    'INTRHead', 'MultiLabelINTRHead', 'TinyResNet', 'TorchvisionResNet',
    'explain_batch', 'prepare_images'
]
