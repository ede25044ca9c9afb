from mmpretrain.models.backbones import ResNet
from mmpretrain.registry import MODELS
from torch import Tensor


def infer_model_cfg(state_dict: dict[str, Tensor]) -> dict:
    """Config of the ``INTRClassifier`` on a ResNet that weights belong to.

    The number of attention heads and dilation leave no trace in weights;
    they are those of INTR-R50.

    Args:
        state_dict: Weights under our names.

    Returns:
        Config of the model.

    Raises:
        ValueError: If no ResNet has such blocks, or tensors are lacking that
            tell the dimensions.
    """

    def count(prefix: str) -> int:
        depth = prefix.count('.')
        return len({
            name.split('.')[depth]
            for name in state_dict if name.startswith(prefix)
        })

    blocks = tuple(count(f'backbone.layer{i}.') for i in range(1, 5))
    is_bottleneck = 'backbone.layer1.0.conv3.weight' in state_dict
    depths = [
        depth for depth, (_, stages) in ResNet.arch_settings.items()
        if tuple(stages) == blocks and (depth >= 50) == is_bottleneck
    ]
    if not depths:
        raise ValueError(f'its backbone has {blocks} blocks, which no ResNet '
                         'has, so tensors are lacking')
    try:
        embed_dims, in_channels = state_dict[
            'neck.input_proj.weight'].shape[:2]
        ffn = len(state_dict['head.decoder.layers.0.ffn.layers.0.0.bias'])
        num_classes = len(state_dict['head.query_embed.weight'])
    except KeyError as error:
        raise ValueError(f'it lacks {error}') from None
    dims = dict(embed_dims=embed_dims, feedforward_channels=ffn)
    return dict(
        type='INTRClassifier',
        backbone=dict(type='TorchvisionResNet', depth=depths[0]),
        neck=dict(
            type='INTREncoder',
            in_channels=in_channels,
            num_layers=count('neck.encoder.layers.'),
            **dims),
        head=dict(
            type='INTRHead',
            num_classes=num_classes,
            num_layers=count('head.decoder.layers.'),
            **dims))


def check_complete(state_dict: dict[str, Tensor]) -> None:
    """Check that weights are all that their model has.

    Args:
        state_dict: Weights under our names.

    Raises:
        ValueError: If a tensor is lacking, left over or of another shape.
    """
    own = MODELS.build(infer_model_cfg(state_dict)).state_dict()
    for name, tensor in own.items():
        if name not in state_dict:
            # DETR's frozen normalisation layers do not count batches
            if not name.endswith('num_batches_tracked'):
                raise ValueError(f"it lacks '{name}'")
        elif state_dict[name].shape != tensor.shape:
            raise ValueError(
                f"'{name}' has the shape {tuple(state_dict[name].shape)} "
                f'instead of {tuple(tensor.shape)}')
    unknown = state_dict.keys() - own.keys()
    if unknown:
        raise ValueError(
            f"it holds '{min(unknown)}', which has no place in INTR")
