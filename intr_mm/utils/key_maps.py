"""Names of tensors in checkpoints of DETR and INTR, and how they become ours.

A format has a list of substitutions, applied in order, that leads to the names
of :class:`INTRClassifier` with a ResNet.
"""
import re

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
