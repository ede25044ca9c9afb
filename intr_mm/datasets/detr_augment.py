import zlib
from collections.abc import Sequence

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmpretrain.registry import TRANSFORMS
from PIL import Image

Box = tuple[float, float, float, float]
Size = tuple[int, int]

_NOT_MOVED = ('gt_bboxes', 'gt_keypoints', 'gt_seg_map')


@TRANSFORMS.register_module()
class DETRAugment(BaseTransform):
    """DETR's flip and multi-scale crop, resampled once.

    `DETR <https://arxiv.org/abs/2005.12872>`_ flips an image, and resizes it
    either at once, or to an intermediate size, cuts out a part, and resizes
    that. Here the part is found on the image itself and resized directly,
    which is faster and blurs less. Random numbers are drawn as by mmcv's
    ``RandomFlip`` and ``RandomChoiceResize`` and mmdet's ``RandomCrop`` in a
    row, so that a seed gives the same views.

    With a :class:`ViewShapeBatchSampler` the view of an image is known before
    the image is loaded: its random numbers depend on seed, epoch and place of
    the image in the dataset alone.

    **Required Keys:**

    - img

    **Modified Keys:**

    - img
    - img_shape

    **Added Keys:**

    - flip
    - flip_direction
    - scale
    - scale_factor: view pixels per pixel of the image, (width, height)
    - keep_ratio

    Args:
        scales: Pixels of the view's shorter edge, of which one is drawn.
        max_size: Limit of the longer edge in pixels.
        crop_scales: Pixels of the shorter edge before a part is cut out.
        crop_size: Least and largest edge of the part in pixels of the
            intermediate size. Height and width are drawn independently.
        flip_prob: Probability of a horizontal flip.
        backend: 'cv2' interpolates bilinearly to enlarge and averages areas to
            reduce, and rounds the part to whole pixels; 'pillow' applies the
            antialiased bilinear filter of the official code, at about three
            times the cost.

    Raises:
        ValueError: If ``backend`` is unknown.
    """

    def __init__(self,
                 scales: Sequence[int] = tuple(range(480, 801, 32)),
                 max_size: int = 1333,
                 crop_scales: Sequence[int] = (400, 500, 600),
                 crop_size: tuple[int, int] = (384, 600),
                 flip_prob: float = 0.5,
                 backend: str = 'cv2') -> None:
        if backend not in ('cv2', 'pillow'):
            raise ValueError("DETRAugment's backend has to be 'cv2' or "
                             f"'pillow', but is '{backend}'.")
        self.scales = tuple(scales)
        self.max_size = max_size
        self.crop_scales = tuple(crop_scales)
        self.crop_size = crop_size
        self.flip_prob = flip_prob
        self.backend = backend
        self._epoch = torch.full((2, ), -1)  # no seed and epoch yet
        self._generator = np.random.RandomState()

    def set_epoch(self, seed: int, epoch: int) -> None:
        """Let the views of an epoch follow from a seed.

        Data loading workers that start after the first call notice all.
        """
        self._epoch.share_memory_().copy_(torch.tensor([seed, epoch]))

    def view_shape(self, index: int, shape: Size) -> Size:
        """Foretell the shape of a view of this epoch.

        Args:
            index: Place of the image in the dataset.
            shape: Height and width of the image in pixels.

        Returns:
            Height and width of the view in pixels.
        """
        return self._random_view(shape[::-1], self._random(index))[2][::-1]

    def _random(self, index: int | None):
        seed, epoch = self._epoch.tolist()
        if epoch < 0 or index is None:
            return np.random
        self._generator.seed(zlib.crc32(f'{seed} {epoch} {index}'.encode()))
        return self._generator

    @cache_randomness
    def _random_view(self, size: Size, random) -> tuple[bool, Box, Size, Size]:
        """Draw a flip, a part of an image, and its new size.

        Args:
            size: Width and height of the image in pixels.
            random: ``np.random``, or a generator with its functions.

        Returns:
            Whether the image is flipped; the part (left, top, right, bottom)
            of that in pixels, not rounded; the (width, height) of its view;
            and the limits of the view, as in mmcv's ``Resize``.
        """
        flip = bool(random.random_sample() < self.flip_prob)
        origin, part, whole = (0, 0), size, size
        if random.randint(2):
            # No limit on the longer edge, as in DETR.
            short = self.crop_scales[random.randint(len(self.crop_scales))]
            factor = short / min(size)
            whole = tuple(int(edge * factor + 0.5) for edge in size)
            least, largest = self.crop_size
            # Heights come before widths, as in mmdet.
            part = tuple(
                random.randint(min(edge, least),
                               min(edge, largest) + 1)
                for edge in whole[::-1])[::-1]
            origin = tuple(
                random.randint(edge - cut + 1)
                for edge, cut in zip(whole[::-1], part[::-1]))[::-1]
        scale = (self.max_size, self.scales[random.randint(len(self.scales))])
        # Multiplied first: an edge of the image stays exactly where it is.
        start, end = (
            np.multiply(corner, size) / whole
            for corner in (origin, np.add(origin, part)))
        return flip, (*start, *end), mmcv.rescale_size(part, scale), scale

    def transform(self, results: dict) -> dict | None:
        """Flip, crop and resize an image.

        Args:
            results: Result dict with ``img``, (H, W, 3).

        Returns:
            The result dict. Its image (h, w, 3) is laid out in planes, as
            ``PackInputs`` wants it.

        Raises:
            ValueError: If there are boxes, keypoints or a segmentation map.
        """
        for key in _NOT_MOVED:
            if results.get(key) is not None:
                raise ValueError(
                    f"DETRAugment moves the image but not its '{key}': take "
                    "it out, or use mmcv's RandomFlip and RandomChoiceResize "
                    "and mmdet's RandomCrop.")
        img = results['img']
        height, width = img.shape[:2]
        flip, box, size, scale = self._random_view(
            (width, height), self._random(results.get('sample_idx')))
        left, top, right, bottom = box
        if flip:
            # The part was drawn on the flipped image.
            left, right = width - right, width - left
        resize = _resize_cv2 if self.backend == 'cv2' else _resize_pillow
        view = resize(img, (left, top, right, bottom), size, flip)
        planes = np.empty((view.shape[2], *view.shape[:2]), view.dtype)
        cv2.split(view, list(planes))
        results.update(
            img=planes.transpose(1, 2, 0),
            img_shape=view.shape[:2],
            flip=flip,
            flip_direction='horizontal' if flip else None,
            scale=scale,
            scale_factor=(size[0] / (right - left), size[1] / (bottom - top)),
            keep_ratio=True)
        return results

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(scales={self.scales}, '
                f'max_size={self.max_size}, crop_scales={self.crop_scales}, '
                f'crop_size={self.crop_size}, flip_prob={self.flip_prob}, '
                f"backend='{self.backend}')")


def _resize_cv2(img: np.ndarray, box: Box, size: Size,
                flip: bool) -> np.ndarray:
    # OpenCV knows no parts of pixels, so edges move by half a pixel at most.
    left, top = (min(round(start), end - 1)
                 for start, end in zip(box, img.shape[1::-1]))
    right, bottom = (max(round(end), start + 1)
                     for start, end in zip((left, top), box[2:]))
    part = img[top:bottom, left:right]
    reduce = size[0] <= right - left and size[1] <= bottom - top
    if flip and not reduce:
        part = cv2.flip(part, 1)
    view = mmcv.imresize(
        part,
        size,
        interpolation='area' if reduce else 'bilinear',
        backend='cv2')
    return cv2.flip(view, 1) if flip and reduce else view


def _resize_pillow(img: np.ndarray, box: Box, size: Size,
                   flip: bool) -> np.ndarray:
    if flip:
        # Before resizing, as in the official code, whose rounding is kept.
        img = cv2.flip(img, 1)
        box = (img.shape[1] - box[2], box[1], img.shape[1] - box[0], box[3])
    return np.asarray(
        Image.fromarray(img).resize(size, Image.Resampling.BILINEAR, box))
