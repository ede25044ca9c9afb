"""Which checkpoints of DETR and INTR there are.

A format is recognised by the names of its tensors, never by the name of its
file.
"""
import re
from dataclasses import dataclass

import torch
from torch import Tensor

from .key_maps import MMDET, OFFICIAL, TRANSFORMERS, Rules, is_our_name, rename


@dataclass(frozen=True)
class CheckpointFormat:
    """A kind of checkpoint.

    Args:
        name: What messages call it.
        signature: Names of tensors that tell it.
        rules: Pairs of a regular expression and its substitute.
        heads: Regular expression of the names of DETR's heads, for which INTR
            has no use. None where it is no DETR.
    """
    name: str
    signature: frozenset[str]
    rules: Rules
    heads: str | None = None


OFFICIAL_INTR = CheckpointFormat(
    'official INTR checkpoint',
    frozenset({'presence_vector.weight', 'transformer.decoder.norm.weight'}),
    OFFICIAL)

FORMATS = (
    OFFICIAL_INTR,
    CheckpointFormat(
        'DETR checkpoint of facebookresearch',
        frozenset({
            'query_embed.weight', 'input_proj.weight',
            'transformer.decoder.norm.weight'
        }), OFFICIAL, '(class_embed|bbox_embed|mask_head|bbox_attention)\\.'),
    CheckpointFormat(
        'DETR checkpoint of MMDetection',
        frozenset({
            'query_embedding.weight', 'neck.convs.0.conv.weight',
            'decoder.post_norm.weight'
        }), MMDET, 'bbox_head\\.'),
    CheckpointFormat(
        'DETR checkpoint of transformers',
        frozenset({
            'model.query_position_embeddings.weight',
            'model.input_projection.weight'
        }), TRANSFORMERS,
        '(class_labels_classifier|bbox_predictor|mask_head|bbox_attention)\\.'
    ),
)


def find_weights(checkpoint: dict) -> dict[str, Tensor]:
    """The tensors by name that a checkpoint file holds.

    Args:
        checkpoint: Content of a file: tensors by name, or a dict with them
            under ``model`` or ``state_dict``.

    Returns:
        The tensors, without the prefixes of distributed training and of DETR's
        panoptic variant; empty if there are none.
    """
    for key in ('model', 'state_dict'):
        if isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
            break
    return {
        re.sub(r'^(module\.)?(detr\.)?', '', str(name)): tensor
        for name, tensor in checkpoint.items() if isinstance(tensor, Tensor)
    }


def identify(weights: dict[str, Tensor]) -> CheckpointFormat | None:
    """The format of weights, None if it is none of :data:`FORMATS`."""
    for checkpoint_format in FORMATS:
        if checkpoint_format.signature <= weights.keys():
            return checkpoint_format
    return None


def describe(weights: dict[str, Tensor]) -> str:
    """Say what weights are, for messages about a file of the wrong kind."""
    checkpoint_format = identify(weights)
    if checkpoint_format is not None:
        article = 'an' if checkpoint_format is OFFICIAL_INTR else 'a'
        return f'{article} {checkpoint_format.name}'
    if 'head.presence_vector.weight' in weights:
        return 'a checkpoint of INTRClassifier'
    if weights:
        return f"a checkpoint with tensors such as '{next(iter(weights))}'"
    return 'a file without tensors by name'


def convert_names(
    weights: dict[str, Tensor], checkpoint_format: CheckpointFormat
) -> tuple[dict[str, Tensor], list[str]]:
    """Bring weights to our names.

    Args:
        weights: As :func:`find_weights` gives them.
        checkpoint_format: Their format.

    Returns:
        The tensors under the names of :class:`INTRClassifier`, and the names
        of those of DETR's heads, which were dropped.

    Raises:
        ValueError: If a tensor has no place in INTR, as in relatives of DETR.
    """
    heads = checkpoint_format.heads
    dropped = [name for name in weights if heads and re.match(heads, name)]
    renamed, projections = {}, {}
    for source in (name for name in weights if name not in dropped):
        name = rename(source, checkpoint_format.rules)
        part = re.fullmatch(r'(.+\.attn\.)([qkv])_proj\.(weight|bias)', name)
        if part:
            name = f'{part[1]}in_proj_{part[3]}'
            projections.setdefault(name, {})[part[2]] = weights[source]
        elif name in renamed:
            raise ValueError(f"it holds what becomes '{name}' twice")
        else:
            renamed[name] = weights[source]
        if not is_our_name(name):
            raise ValueError(f'it looks like {describe(weights)} but holds '
                             f"'{source}', which has no place in INTR")
    for name, parts in projections.items():
        if len(parts) < 3:
            raise ValueError(f"it lacks a part of what becomes '{name}'")
        renamed[name] = torch.cat([parts[part] for part in 'qkv'])
    return renamed, dropped
