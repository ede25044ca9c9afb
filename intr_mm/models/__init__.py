from .backbones import *  # noqa: F401, F403
from .classifiers import INTRClassifier
from .data_preprocessor import INTRDataPreprocessor
from .heads import INTRHead
from .necks import INTREncoder

__all__ = ['INTRClassifier', 'INTRDataPreprocessor', 'INTREncoder', 'INTRHead']
