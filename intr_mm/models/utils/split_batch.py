from collections.abc import Iterator

import torch
from mmpretrain.structures import DataSample
from torch import Tensor

# One image of 800x1066, two of 448x448, ten of 224x224: what lay around the
# optimum on a CPU with 16 MiB of last-level cache for each core.
_PIXELS = 2**19


def split_batch(
    inputs: Tensor,
    data_samples: list[DataSample] | None = None
) -> Iterator[tuple[Tensor, list[DataSample] | None]]:
    """Parts of a batch to be computed one after the other.

    Where a CPU predicts, activations of few images stay in its cache from one
    operation to the next, and their memory is used again. In training and on
    other devices the batch is one part.

    Args:
        inputs: Normalised and padded images, (B, 3, H, W).
        data_samples: Those of the images.

    Yields:
        Up to half a megapixel of images, or one image, of shape (b, 3, H, W);
        and their samples.
    """
    num, _, height, width = inputs.shape
    if inputs.device.type == 'cpu' and not torch.is_grad_enabled():
        num = max(1, _PIXELS // (height * width))
    for i, part in enumerate(inputs.split(num)):
        samples = data_samples
        if data_samples is not None:
            samples = data_samples[i * num:(i + 1) * num]
        yield part, samples
