import io
import logging

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.fileio import get as read_bytes
from mmengine.logging import print_log
from mmpretrain.registry import TRANSFORMS
from PIL import ExifTags, Image, ImageOps
from torchvision.io import decode_jpeg


@TRANSFORMS.register_module()
class LoadIntactImage(LoadImageFromFile):
    """Load an image from file, and notice when the file is damaged.

    OpenCV turns a JPEG file that was cut short into an image with a grey
    rest. Pillow, the default here, reports it, and so does torchvision. Arrays
    are contiguous, where mmcv's are reversed views, which whatever comes next
    copies slowly.

    **Required Keys:**

    - img_path

    **Modified Keys:**

    - img
    - img_shape
    - ori_shape

    Args:
        imdecode_backend: The image decoding backend, one of mmcv's or
            'torchvision', which decodes JPEG files faster than 'pillow' and
            leaves to it what else there is.
        ignore_empty: Whether to name and count a damaged or missing file in
            the log, and let the dataset take another image in its place. For
            training only. False raises.
        min_edge: Pixels of the shorter edge that suffice. Larger JPEG files
            are decoded at 1/2, 1/4 or 1/8 of their size, as long as their
            shorter edge is not below it. ``ori_shape`` stays that of the file,
            while ``scale_factor`` of transforms counts from the reduced image.
            For training only. None decodes all pixels.
        **kwargs: Same as :class:`mmcv.transforms.LoadImageFromFile`.

    Raises:
        ValueError: ``min_edge`` is set without ``ignore_empty``, or it or
            'torchvision' with another ``color_type`` than 'color', or there
            are ``file_client_args``, which mmcv gave up.
    """

    def __init__(self,
                 imdecode_backend: str = 'pillow',
                 ignore_empty: bool = False,
                 min_edge: int | None = None,
                 **kwargs) -> None:
        super().__init__(imdecode_backend=imdecode_backend, **kwargs)
        self.skip_damaged = ignore_empty
        if min_edge is not None and not ignore_empty:
            raise ValueError(
                f'min_edge={min_edge} reduces images, on which points and '
                'maps of a file would be misplaced: set it in training '
                'pipelines only, next to ignore_empty=True.')
        fast = min_edge is not None or imdecode_backend == 'torchvision'
        if fast and self.color_type != 'color':
            raise ValueError(
                "imdecode_backend='torchvision' and min_edge need "
                f"color_type='color', not '{self.color_type}'.")
        if self.file_client_args is not None:
            raise ValueError('LoadIntactImage knows no file_client_args: give '
                             'backend_args instead.')
        self.min_edge = min_edge
        # shared with the data loading workers
        self.num_damaged = torch.zeros(1, dtype=torch.int64).share_memory_()

    def transform(self, results: dict) -> dict | None:
        """Load an image.

        Args:
            results: Result dict from the dataset.

        Returns:
            The result dict with the image (H, W, 3), uint8, BGR, or None if
            the file is damaged and ``ignore_empty`` is set.

        Raises:
            OSError: The file is missing or damaged.
        """
        try:
            content = read_bytes(
                results['img_path'], backend_args=self.backend_args)
            img, ori_shape = decode(content, self.color_type,
                                    self.imdecode_backend, self.min_edge)
        except Exception as error:
            reason = str(error).split(' <_io.BytesIO')[0]
            path = results['img_path']
            message = f"Image '{path}' cannot be read ({reason})"
            if not self.skip_damaged:
                raise OSError(
                    f'{message}: replace the file, or take it out of the '
                    'data set.') from error
        else:
            if self.to_float32:
                img = img.astype(np.float32)
            results.update(
                img=img, img_shape=img.shape[:2], ori_shape=ori_shape)
            return results
        self.num_damaged += 1
        # processes other than the first print nothing below this level
        print_log(
            f'{message}: another image takes its place, and '
            f'{self.num_damaged.item()} such files were met so far.',
            logger='current',
            level=logging.ERROR)
        return None


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
    return _contiguous(img), img.shape[:2]


def decode_plain_jpeg(content: bytes) -> np.ndarray | None:
    """Decode an ordinary JPEG file by torchvision.

    It gives Pillow's values in fewer steps, and reports files that were cut
    short as well.

    Args:
        content: The bytes of a file.

    Returns:
        BGR image (H, W, 3), uint8; None for other formats, where metainfo
        might turn the image, for images in grey or CMYK, and where torchvision
        was built without JPEG.

    Raises:
        RuntimeError: If the file is damaged.
    """
    if (not content.startswith(b'\xff\xd8\xff') or b'Exif\0' in content
            or not hasattr(torch.ops.image, 'decode_jpeg')):
        return None
    image = decode_jpeg(
        torch.frombuffer(bytearray(content), dtype=torch.uint8))  # (C, H, W)
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
        BGR image (h, w, 3), uint8, and (height, width) of the file in pixels;
        None where it is no JPEG or small already.

    Raises:
        OSError: If the file is damaged.
    """
    with Image.open(io.BytesIO(content)) as image:
        size = image.size
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) > 4
        image.draft(image.mode, (min_edge, min_edge))
        if image.size == size:
            return None
        rgb = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return bgr, size if turned else size[::-1]


def _contiguous(img: np.ndarray) -> np.ndarray:
    """Lay out an image (H, W, 3) that is a view with reversed channels."""
    # OpenCV takes a tenth of numpy's time.
    if img.ndim == 3 and img.strides[2] < 0 and img.dtype == np.uint8:
        return cv2.cvtColor(img[..., ::-1], cv2.COLOR_RGB2BGR)
    return img
