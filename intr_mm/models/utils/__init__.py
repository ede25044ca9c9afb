from .class_index import class_index
from .encode_images import ask_attention, encode_images, prepare_images
from .feature_map import last_feature_map
from .init import xavier_init_matrices
from .padding import make_padding_mask, valid_grid
from .pop_forwards import pop_forwards
from .select_classes import select_classes
from .split_batch import split_batch

__all__ = [
    'ask_attention', 'class_index', 'encode_images', 'last_feature_map',
    'make_padding_mask', 'pop_forwards', 'prepare_images', 'select_classes',
    'split_batch', 'valid_grid', 'xavier_init_matrices'
]
