from .checkpoint_formats import (TO_OFFICIAL, describe, find_weights,
                                 is_our_name, rename)
from .foreign_weights import (ForeignWeights, adapt_foreign, class_queries,
                              convert_foreign)

__all__ = [
    'ForeignWeights', 'TO_OFFICIAL', 'adapt_foreign', 'class_queries',
    'convert_foreign', 'describe', 'find_weights', 'is_our_name', 'rename'
]
