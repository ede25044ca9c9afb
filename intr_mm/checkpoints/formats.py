"""Which checkpoints of DETR and INTR there are, and what their tensors are
called.

A format is recognised by the names of its tensors, never by the name of its
file. It has a list of substitutions, applied in order, that leads to the names
of :class:`INTRClassifier` with a ResNet.
"""
import re
from dataclasses import dataclass

import torch
from torch import Tensor

Rules = tuple[tuple[str, str], ...]

# github.com/Imageomics/INTR and facebookresearch/detr
OFFICIAL: Rules = (
    (r'^backbone\.0\.body\.', 'backbone.'),
    (r'^input_proj\.', 'neck.input_proj.'),
    (r'^(query_embed|presence_vector)\.', r'head.\1.'),
    (r'^transformer\.encoder\.', 'neck.encoder.'),
    (r'^transformer\.decoder\.norm\.', 'head.decoder.post_norm.'),
    (r'^transformer\.decoder\.', 'head.decoder.'),
    (r'\.self_attn\.', '.self_attn.attn.'),
    (r'\.multihead_attn\.', '.cross_attn.attn.'),
    (r'\.linear1\.', '.ffn.layers.0.0.'),
    (r'\.linear2\.', '.ffn.layers.1.'),
    (r'\.norm1\.', '.norms.0.'),
    (r'\.norm2\.', '.norms.1.'),
    (r'\.norm3\.', '.norms.2.'),
)

# Back to OFFICIAL.
TO_OFFICIAL: Rules = (
    (r'^backbone\.', 'backbone.0.body.'),
    (r'^neck\.input_proj\.', 'input_proj.'),
    (r'^head\.(query_embed|presence_vector)\.', r'\1.'),
    (r'^neck\.encoder\.', 'transformer.encoder.'),
    (r'^head\.decoder\.post_norm\.', 'transformer.decoder.norm.'),
    (r'^head\.decoder\.', 'transformer.decoder.'),
    (r'\.self_attn\.attn\.', '.self_attn.'),
    (r'\.cross_attn\.attn\.', '.multihead_attn.'),
    (r'\.ffn\.layers\.0\.0\.', '.linear1.'),
    (r'\.ffn\.layers\.1\.', '.linear2.'),
    (r'\.norms\.0\.', '.norm1.'),
    (r'\.norms\.1\.', '.norm2.'),
    (r'\.norms\.2\.', '.norm3.'),
)

# mmdet 3.x
MMDET: Rules = (
    (r'^neck\.convs\.0\.conv\.', 'neck.input_proj.'),
    (r'^encoder\.', 'neck.encoder.'),
    (r'^decoder\.', 'head.decoder.'),
    (r'^query_embedding\.', 'head.query_embed.'),
)

# transformers, on a backbone of timm (torchvision's names) or its own ResNet;
# version 5 renamed modules but writes files under the older names.
TRANSFORMERS: Rules = (
    (r'^model\.', ''),
    (r'^backbone\.(conv_encoder\.)?model\.', 'backbone.'),
    (r'^backbone\.embedder\.embedder\.convolution\.', 'backbone.conv1.'),
    (r'^backbone\.embedder\.embedder\.normalization\.', 'backbone.bn1.'),
    (r'^backbone\.encoder\.stages\.0\.layers\.', 'backbone.layer1.'),
    (r'^backbone\.encoder\.stages\.1\.layers\.', 'backbone.layer2.'),
    (r'^backbone\.encoder\.stages\.2\.layers\.', 'backbone.layer3.'),
    (r'^backbone\.encoder\.stages\.3\.layers\.', 'backbone.layer4.'),
    (r'\.layer\.0\.convolution\.', '.conv1.'),
    (r'\.layer\.1\.convolution\.', '.conv2.'),
    (r'\.layer\.2\.convolution\.', '.conv3.'),
    (r'\.layer\.0\.normalization\.', '.bn1.'),
    (r'\.layer\.1\.normalization\.', '.bn2.'),
    (r'\.layer\.2\.normalization\.', '.bn3.'),
    (r'\.shortcut\.convolution\.', '.downsample.0.'),
    (r'\.shortcut\.normalization\.', '.downsample.1.'),
    (r'^input_projection\.', 'neck.input_proj.'),
    (r'^query_position_embeddings\.', 'head.query_embed.'),
    (r'^encoder\.', 'neck.encoder.'),
    (r'^decoder\.layernorm\.', 'head.decoder.post_norm.'),
    (r'^decoder\.', 'head.decoder.'),
    (r'\.self_attn\.', '.self_attn.attn.'),
    (r'\.encoder_attn\.', '.cross_attn.attn.'),
    (r'\.o_proj\.', '.out_proj.'),
    (r'\.(mlp\.)?fc1\.', '.ffn.layers.0.0.'),
    (r'\.(mlp\.)?fc2\.', '.ffn.layers.1.'),
    (r'\.self_attn_layer_norm\.', '.norms.0.'),
    (r'\.encoder_attn_layer_norm\.', '.norms.1.'),
    (r'^(neck.*)\.final_layer_norm\.', r'\1.norms.1.'),
    (r'^(head.*)\.final_layer_norm\.', r'\1.norms.2.'),
)

_OURS = re.compile(
    r'backbone\.(conv1|bn1|layer[1-4]\.\d+\.(conv\d|bn\d|downsample\.[01]))\.'
    r'(weight|bias|running_mean|running_var|num_batches_tracked)|'
    r'(neck\.encoder|head\.decoder)\.layers\.\d+\.'
    r'((self|cross)_attn\.attn\.(in_proj_|out_proj\.)|'
    r'ffn\.layers\.(0\.0|1)\.|norms\.[0-2]\.)(weight|bias)|'
    r'(neck\.input_proj|head\.decoder\.post_norm|head\.presence_vector)\.'
    r'(weight|bias)|head\.query_embed\.weight')


def rename(name: str, rules: Rules) -> str:
    """Apply substitutions in order."""
    for pattern, substitute in rules:
        name = re.sub(pattern, substitute, name)
    return name


def is_our_name(name: str) -> bool:
    """Whether an ``INTRClassifier`` with a ResNet may have such a tensor."""
    return _OURS.fullmatch(name) is not None


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
        if len({part.shape
                for part in parts.values()
                }) > 1 or not next(iter(parts.values())).ndim:
            raise ValueError(f"the parts of what becomes '{name}' differ in "
                             'their shapes, or have none')
        renamed[name] = torch.cat([parts[part] for part in 'qkv'])
    return renamed, dropped
