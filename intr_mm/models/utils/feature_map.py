from collections.abc import Sequence

from torch import Tensor


def last_feature_map(feats: Tensor | Sequence[Tensor], channels: int,
                     user: str) -> Tensor:
    """The last feature map of a backbone or neck, checked.

    Args:
        feats: Output of a backbone or neck.
        channels: The number of channels expected.
        user: Name of the module that asks, for the error message.

    Returns:
        Shape (B, channels, H, W).

    Raises:
        ValueError: If it is no feature map or has other channels.
    """
    x = feats if isinstance(feats, Tensor) else feats[-1]
    if x.dim() != 4:
        raise ValueError(
            f'{user} needs a feature map (B, C, H, W) but got shape '
            f'{tuple(x.shape)}; remove the pooling neck, or set '
            "out_type='featmap' on a transformer backbone.")
    if x.size(1) != channels:
        raise ValueError(
            f'{user} expects {channels} channels but the feature map has '
            f'{x.size(1)}; set in_channels={x.size(1)} on {user}.')
    return x
