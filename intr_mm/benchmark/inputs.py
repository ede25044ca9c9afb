"""The same inputs in every process, from a seed."""
import torch
from torch import Tensor

from .case import Case


def make_images(case: Case, device: str) -> Tensor:
    """Images as the data preprocessor gives them.

    Args:
        case: Their number, size and seed.
        device: Where to put them.

    Returns:
        float32 of shape (B, 3, H, W), standard normal.
    """
    return _randn(case, 3).to(device)


def make_memory(case: Case, embed_dims: int, device: str) -> Tensor:
    """What the encoder hands to the decoder.

    Args:
        case: Batch size, cells and seed.
        embed_dims: Width ``D`` of the tokens.
        device: Where to put it.

    Returns:
        float32 of shape (B, D, h, w), standard normal.
    """
    return _randn(case, embed_dims).to(device)


def make_labels(case: Case, device: str) -> Tensor:
    """Labels to train on.

    Args:
        case: Batch size, number of classes and seed.
        device: Where to put them.

    Returns:
        Int64 of shape (B, ).
    """
    generator = torch.Generator().manual_seed(case.seed)
    return torch.randint(
        case.num_classes, (case.batch_size, ), generator=generator).to(device)


def _randn(case: Case, channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(case.seed)
    return torch.randn(
        case.batch_size, channels, *case.shape, generator=generator)
