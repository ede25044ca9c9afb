from .checkpoint_formats import OFFICIAL_INTR, describe, find_weights, identify
from .foreign_weights import (ForeignWeights, adapt_foreign, class_queries,
                              convert_foreign)
from .key_maps import TO_OFFICIAL, is_our_name, rename

__all__ = [
    'ForeignWeights', 'OFFICIAL_INTR', 'TO_OFFICIAL', 'adapt_foreign',
    'class_queries', 'convert_foreign', 'describe', 'find_weights', 'identify',
    'is_our_name', 'rename'
]
