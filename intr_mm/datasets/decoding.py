"""From the bytes of a file to pixels."""
import io

import cv2
import mmcv
import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torchvision.io import decode_jpeg


def contiguous(img: np.ndarray) -> np.ndarray:
    """Lay out an image that is a view with reversed channels.

    Args:
        img: Image (H, W, 3) as of :func:`mmcv.imfrombytes`.

    Returns:
        The same values.
    """
    # OpenCV takes a tenth of numpy's time.
    if img.ndim == 3 and img.strides[2] < 0 and img.dtype == np.uint8:
        return cv2.cvtColor(img[..., ::-1], cv2.COLOR_RGB2BGR)
    return img


def decode_plain_jpeg(content: bytes) -> np.ndarray | None:
    """Decode an ordinary JPEG file by torchvision.

    It gives Pillow's values in fewer steps, and reports files that were cut
    short as well.

    Args:
        content: The bytes of a file.

    Returns:
        np.ndarray or None: BGR image (H, W, 3), uint8; None for other formats,
        where metainfo might turn the image, for images in grey or CMYK, and
        where torchvision was built without JPEG.

    Raises:
        RuntimeError: The file is damaged.
    """
    if (not content.startswith(b'\xff\xd8\xff') or b'Exif\0' in content
            or not hasattr(torch.ops.image, 'decode_jpeg')):
        return None
    image = decode_jpeg(
        torch.frombuffer(bytearray(content), dtype=torch.uint8))
    if len(image) != 3:
        return None
    return cv2.cvtColor(image.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2BGR)


def decode_reduced_jpeg(
        content: bytes,
        min_edge: int) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Decode a large JPEG file at 1/2, 1/4 or 1/8 of its size.

    Args:
        content: The bytes of a file.
        min_edge: Pixels that the shorter edge has to keep.

    Returns:
        tuple or None: BGR image (h, w, 3), uint8, and (height, width) of the
        file in pixels; None where it is no JPEG or small already.

    Raises:
        OSError: The file is damaged.
    """
    with Image.open(io.BytesIO(content)) as image:
        size = image.size
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) > 4
        image.draft(image.mode, (min_edge, min_edge))
        if image.size == size:
            return None
        rgb = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    return (cv2.cvtColor(rgb,
                         cv2.COLOR_RGB2BGR), size if turned else size[::-1])


def decode(content: bytes,
           flag: str,
           backend: str,
           min_edge: int | None = None) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode an image.

    Args:
        content: The bytes of a file.
        flag: The ``flag`` of :func:`mmcv.imfrombytes`.
        backend: Its ``backend``, or 'torchvision', which is 'pillow' where
            :func:`decode_plain_jpeg` does not apply.
        min_edge: See :func:`decode_reduced_jpeg`.

    Returns:
        The image, contiguous, and (height, width) of the file.

    Raises:
        Exception: Of the backend, if the file is damaged.
    """
    if min_edge is not None:
        reduced = decode_reduced_jpeg(content, min_edge)
        if reduced is not None:
            return reduced
    img = None
    if backend == 'torchvision':
        img, backend = decode_plain_jpeg(content), 'pillow'
    if img is None:
        img = mmcv.imfrombytes(content, flag, backend=backend)
    if img is None:
        raise OSError('it holds no image')
    return contiguous(img), img.shape[:2]
