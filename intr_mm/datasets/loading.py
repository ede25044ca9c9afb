import logging
import os
from collections.abc import Iterator

import cv2
import mmcv
import numpy as np
import torch
from mmcv.image.io import imread_flags, supported_backends
from mmcv.transforms import LoadImageFromFile
from mmengine.logging import print_log
from mmpretrain.registry import TRANSFORMS
from torch.utils.data import Dataset

from .image_file import (UnreadableImageError, decode_image, load_image,
                         open_image)
from .image_modes import MAX_PIXELS

_BACKENDS = ('torchvision', *supported_backends)


@TRANSFORMS.register_module()
class LoadIntactImage(LoadImageFromFile):
    """Load an image from file as a person sees it, or notice that it is
    damaged.

    Whatever decodes it, an image is upright, on white where it is transparent,
    and of 8 bits; see :func:`intr_mm.datasets.image_modes.show`. OpenCV, which
    mmcv's loading uses, turns a JPEG file that was cut short into an image
    with a grey rest. An image that is there already, as inferencers put it, is
    left alone.

    **Required Keys:**

    - img_path, or img

    **Modified Keys:**

    - img
    - img_shape
    - ori_shape

    Args:
        imdecode_backend: What decodes ordinary JPEG files: 'torchvision',
            which is faster than 'pillow', or one of mmcv's. All other files
            are left to Pillow.
        ignore_empty: Whether to name and count a damaged or missing file in
            the log, and let the dataset take another image in its place. For
            training only. False raises.
        max_pixels: Pixels that an image may have, beyond which it counts as
            damaged. Known before any is decoded.
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
                 max_pixels: int = MAX_PIXELS,
                 **kwargs) -> None:
        super().__init__(imdecode_backend=imdecode_backend, **kwargs)
        self.skip_damaged = ignore_empty
        if min_edge is not None and not ignore_empty:
            raise ValueError(
                f'min_edge={min_edge} reduces images, on which points and '
                'maps of a file would be misplaced: set it in training '
                'pipelines only, next to ignore_empty=True.')
        for name, value, known in (('imdecode_backend', imdecode_backend,
                                    _BACKENDS), ('color_type', self.color_type,
                                                 tuple(imread_flags))):
            if value not in known:
                raise ValueError(f"LoadIntactImage knows no {name}='{value}': "
                                 f'choose one of {", ".join(known)}.')
        fast = min_edge is not None or imdecode_backend == 'torchvision'
        if fast and self.color_type != 'color':
            raise ValueError(
                "imdecode_backend='torchvision' and min_edge need "
                f"color_type='color', not '{self.color_type}'.")
        if self.file_client_args is not None:
            raise ValueError('LoadIntactImage knows no file_client_args: give '
                             'backend_args instead.')
        self.min_edge = min_edge
        self.max_pixels = max_pixels
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
            UnreadableImageError: The file is missing or damaged.
        """
        if 'img_path' not in results and 'img' in results:
            return results
        try:
            img, ori_shape = self.read(results['img_path'])
        except UnreadableImageError as error:
            if not self.skip_damaged:
                raise
            self.num_damaged += 1
            # processes other than the first print nothing below this level
            print_log(
                f'{error} Another image takes its place, and '
                f'{self.num_damaged.item()} such files were met so far.',
                logger='current',
                level=logging.ERROR)
            return None
        if self.to_float32:
            img = img.astype(np.float32)
        results.update(img=img, img_shape=img.shape[:2], ori_shape=ori_shape)
        return results

    def read(self,
             path: str | os.PathLike) -> tuple[np.ndarray, tuple[int, int]]:
        """Read an image file.

        Args:
            path: Path or URL.

        Returns:
            The image, and (height, width) of the file.

        Raises:
            UnreadableImageError: The file is missing or damaged.
        """
        return load_image(path, self._decode, self.backend_args)

    def _decode(self, content: bytes) -> tuple[np.ndarray, tuple[int, int]]:
        if self.color_type == 'unchanged':
            open_image(content, self.max_pixels)
            img = mmcv.imfrombytes(
                content, 'unchanged', backend=self.imdecode_backend)
            return img, img.shape[:2]
        img, ori_shape = decode_image(
            content,
            self.imdecode_backend,
            self.min_edge,
            turn=not self.color_type.endswith('ignore_orientation'),
            max_pixels=self.max_pixels)
        if self.color_type.startswith('grayscale'):
            img = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
        return img, ori_shape


def try_images(dataset: Dataset) -> Iterator[UnreadableImageError | None]:
    """Decode the images of a dataset as its pipeline does.

    Args:
        dataset: Nothing is yielded of one that draws its images, or whose
            pipeline has no :class:`LoadIntactImage`.

    Yields:
        Why an image cannot be read; None if it can.
    """
    pipeline = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
    loader = next((t for t in pipeline if isinstance(t, LoadIntactImage)),
                  None)
    for index in range(0 if loader is None else len(dataset)):
        path = dataset.get_data_info(index).get('img_path')
        if path is None:
            return
        try:
            loader.read(path)
            yield None
        except UnreadableImageError as error:
            yield error
