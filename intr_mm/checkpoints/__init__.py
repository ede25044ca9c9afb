"""Checkpoints: which there are, how they are read, converted and written."""
from .checks import check_content, class_names, fit_checkpoint
from .class_rows import carry_classes, check_class_order
from .conversion import (ForeignWeights, adapt_foreign, check_complete,
                         class_queries, convert_foreign, infer_model_cfg)
from .formats import (OFFICIAL_INTR, TO_OFFICIAL, describe, find_weights,
                      identify, is_our_name, rename)
from .integrity import DamagedCheckpointError, verify_file
from .loaders import LOADERS
from .reading import load_weights
from .temperature import store_temperature, stored_temperature
from .work_dir import choose_start, claim_work_dir
from .writing import (AtomicLocalBackend, check_destination, read_checkpoint,
                      refuse_in_one_sentence, remove_parts, report_conversion,
                      save_weights)

__all__ = [
    'AtomicLocalBackend', 'DamagedCheckpointError', 'ForeignWeights',
    'LOADERS', 'OFFICIAL_INTR', 'TO_OFFICIAL', 'adapt_foreign',
    'carry_classes', 'check_class_order', 'check_complete', 'check_content',
    'check_destination', 'choose_start', 'claim_work_dir', 'class_names',
    'class_queries', 'convert_foreign', 'describe', 'find_weights',
    'fit_checkpoint', 'identify', 'infer_model_cfg', 'is_our_name',
    'load_weights', 'read_checkpoint', 'refuse_in_one_sentence',
    'remove_parts', 'rename', 'report_conversion', 'save_weights',
    'store_temperature', 'stored_temperature', 'verify_file'
]
