import mmcv
import numpy as np
from mmengine.fileio import get as read_bytes
from mmpretrain.structures import DataSample
from torch import Tensor


def original_image(image: Tensor, sample: DataSample) -> np.ndarray:
    """The picture of which the network saw all, at its best resolution.

    It is the file itself where the pipeline has only resized it, else (a
    crop, a flip, an image that was drawn) what the pipeline gave.

    Args:
        image: What the pipeline gave, (3, h, w), 0 to 255, BGR.
        sample: Its metainfo.

    Returns:
        RGB image (H, W, 3), uint8.
    """
    if sample.get('img_path') and not sample.get('flip'):
        height, width = sample.get('ori_shape', (0, 0))[:2]
        scale_x, scale_y = sample.get('scale_factor', (1., 1.))
        resized = np.array([height * scale_y, width * scale_x])
        if np.abs(resized - image.shape[-2:]).max() < 1:
            original = mmcv.imfrombytes(read_bytes(sample.img_path))
            if original is not None and original.shape[:2] == (height, width):
                return original[..., ::-1]
    return image.permute(1, 2, 0).cpu().numpy().astype(np.uint8)[..., ::-1]
