"""Names of the official INTR code and of this package, one to one.

The official names are DETR's (``models/intr.py``, ``models/transformer.py``
of github.com/Imageomics/INTR).
"""
import re
from typing import Dict

from torch import Tensor

_LAYER = {
    r'self_attn\.': 'self_attn.attn.',
    r'multihead_attn\.': 'cross_attn.attn.',
    r'linear1\.': 'ffn.layers.0.0.',
    r'linear2\.': 'ffn.layers.1.',
    r'norm1\.': 'norms.0.',
    r'norm2\.': 'norms.1.',
    r'norm3\.': 'norms.2.',
}

_PREFIX = {
    r'backbone\.0\.body\.': 'backbone.',
    r'input_proj\.': 'neck.input_proj.',
    r'query_embed\.': 'head.query_embed.',
    r'presence_vector\.': 'head.presence_vector.',
    r'transformer\.decoder\.norm\.': 'head.decoder.post_norm.',
}

_OFFICIAL_LAYER = re.compile(
    r'transformer\.(encoder|decoder)\.layers\.(\d+)\.')


def official_to_mmpretrain(state_dict: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Rename the entries of an official INTR state dict.

    Args:
        state_dict (dict[str, Tensor]): ``model`` of an official checkpoint.

    Returns:
        dict[str, Tensor]: The same tensors under the names of
        :class:`INTRClassifier` with ResNet, :class:`INTREncoder` and
        :class:`INTRHead`.

    Raises:
        KeyError: If a name is not one of the official code.
    """
    return {_rename(name): tensor for name, tensor in state_dict.items()}


def _rename(name: str) -> str:
    layer = _OFFICIAL_LAYER.match(name)
    if layer:
        owner = 'neck' if layer[1] == 'encoder' else 'head'
        prefix, rest = f'{owner}.{layer[1]}.layers.{layer[2]}.', _LAYER
        name = name[layer.end():]
    else:
        prefix, rest = '', _PREFIX
    for pattern, replacement in rest.items():
        renamed, count = re.subn('^' + pattern, replacement, name)
        if count:
            return prefix + renamed
    raise KeyError(f'{name!r} is not an entry of an official INTR checkpoint.')
