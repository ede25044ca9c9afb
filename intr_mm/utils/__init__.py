from .detr_init import detr_to_intr, is_detr
from .official_keys import official_to_mmpretrain

__all__ = ['detr_to_intr', 'is_detr', 'official_to_mmpretrain']
