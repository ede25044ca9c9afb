from .attention import MultiheadAttention
from .detr_layers import (INTRDecoderLayer, INTREncoderLayer,
                          INTRTransformerDecoder, INTRTransformerEncoder,
                          detr_layer_cfg)

__all__ = [
    'INTRDecoderLayer', 'INTREncoderLayer', 'INTRTransformerDecoder',
    'INTRTransformerEncoder', 'MultiheadAttention', 'detr_layer_cfg'
]
