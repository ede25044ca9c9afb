"""Checkpoints: which there are, how they are read, converted and written."""
from .class_rows import carry_classes
from .conversion import (ForeignWeights, adapt_foreign, check_complete,
                         class_queries, convert_foreign, infer_model_cfg)
from .formats import (OFFICIAL_INTR, TO_OFFICIAL, describe, find_weights,
                      identify, is_our_name, rename)
from .reading import load_weights
from .temperature import store_temperature, stored_temperature
from .writing import (AtomicLocalBackend, read_checkpoint,
                      refuse_in_one_sentence, report_conversion, save_weights)

__all__ = [
    'AtomicLocalBackend', 'ForeignWeights', 'OFFICIAL_INTR', 'TO_OFFICIAL',
    'adapt_foreign', 'carry_classes', 'check_complete', 'class_queries',
    'convert_foreign', 'describe', 'find_weights', 'identify',
    'infer_model_cfg', 'is_our_name', 'load_weights', 'read_checkpoint',
    'refuse_in_one_sentence', 'rename', 'report_conversion', 'save_weights',
    'store_temperature', 'stored_temperature'
]
