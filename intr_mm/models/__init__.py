from .backbones import *  # noqa: F401, F403
from .classifiers import INTRClassifier
from .data_preprocessor import INTRDataPreprocessor
from .heads import ApproxINTRHead, INTRHead
from .necks import INTREncoder

__all__ = [
    'ApproxINTRHead', 'INTRClassifier', 'INTRDataPreprocessor', 'INTREncoder',
    'INTRHead'
]
