import re
from typing import Dict, List, Tuple

import torch
from torch import Tensor

from .official_keys import official_to_mmpretrain


def is_detr(state_dict: Dict[str, Tensor]) -> bool:
    """Whether these are weights of facebookresearch/detr."""
    return {'query_embed.weight', 'class_embed.weight'} <= set(state_dict)


def detr_to_intr(state_dict: Dict[str, Tensor],
                 num_classes: int,
                 noise_frac: float = 0.1,
                 seed: int = 0) -> Tuple[Dict[str, Tensor], List[str]]:
    """Start INTR from a detector, by the rule of the official code.

    The object queries become class queries: the first ones if there are fewer
    classes than queries, else they are repeated, with noise on the repeated
    ones. DETR's class and box heads are dropped; it has no presence vector.

    Args:
        state_dict (dict[str, Tensor]): ``model`` of a DETR checkpoint.
        num_classes (int): Number of class queries to make.
        noise_frac (float): Standard deviation of the noise. Defaults to 0.1.
        seed (int): Seed of the noise, so that every process of a distributed
            run makes the same. Defaults to 0.

    Returns:
        tuple[dict[str, Tensor], list[str]]: The state dict of an
        ``INTRClassifier`` without its presence vector, and the names of the
        entries that were dropped.
    """
    dropped = [k for k in state_dict if re.match('(class|bbox)_embed', k)]
    kept = {k: v for k, v in state_dict.items() if k not in dropped}
    queries = kept['query_embed.weight']
    repeats = -(-num_classes // len(queries))
    generator = torch.Generator().manual_seed(seed)
    tiled = queries.repeat(repeats, 1)[:num_classes]
    noise = torch.randn(tiled.shape, generator=generator) * noise_frac
    noise[:len(queries)] = 0
    kept['query_embed.weight'] = tiled + noise
    return official_to_mmpretrain(kept), dropped
