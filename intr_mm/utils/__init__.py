from .detr_init import detr_to_intr, is_detr
from .official_keys import official_to_mmpretrain
from .save_state_dict import save_state_dict

__all__ = [
    'detr_to_intr', 'is_detr', 'official_to_mmpretrain', 'save_state_dict'
]
