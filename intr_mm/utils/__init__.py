from .checkpoint_formats import describe, find_weights
from .foreign_weights import (ForeignWeights, adapt_foreign, class_queries,
                              convert_foreign)
from .key_maps import TO_OFFICIAL, is_our_name, rename

__all__ = [
    'ForeignWeights', 'TO_OFFICIAL', 'adapt_foreign', 'class_queries',
    'convert_foreign', 'describe', 'find_weights', 'is_our_name', 'rename'
]
