"""What image files show.

Training, tests, inferencer and local page read images by this module alone, so
that an image is the same to all of them: as a person sees it, upright and on
white paper, or refused.
"""
import io
import os
import re
import stat
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from urllib.request import urlopen

import cv2
import mmcv
import numpy as np
import torch
from mmengine.fileio import HTTPBackend, LocalBackend, get_file_backend
from PIL import Image, UnidentifiedImageError
from torchvision.io import decode_jpeg

from .image_modes import MAX_PIXELS, orientation_of, show

with suppress(ImportError):
    from pillow_heif import register_heif_opener
    register_heif_opener()
Image.init()

# Those of Pillow's formats that hold pictures and say so in their first bytes,
# without EPS, which would start Ghostscript.
FORMATS = tuple(
    name
    for name in ('JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'DIB', 'GIF', 'PPM',
                 'JPEG2000', 'AVIF', 'HEIF', 'SGI', 'SUN', 'QOI', 'PSD', 'ICO')
    if name in Image.OPEN)
# MPO is a JPEG file with a second one behind it.
EXTENSIONS = tuple(
    sorted(ending for ending, name in Image.registered_extensions().items()
           if name in (*FORMATS, 'MPO')))
_MAX_BYTES = 2**31
_TIMEOUT = 60  # seconds without an answer
# Progressive JPEG files have about ten, and each costs a pass over all pixels.
_MAX_SCANS = 100
_HEIC = (b'ftypheic', b'ftypheix', b'ftyphevc', b'ftypmif1', b'ftypmsf1')


class UnreadableImageError(OSError):
    """Names an image that cannot be read, and says why."""


def reason_of(error: Exception) -> str:
    """What Pillow and others say of a file, without the address of a buffer
    in memory."""
    return (str(error) or repr(error)).split(' <_io.BytesIO')[0]


def read_file(path: str, backend_args: dict | None = None) -> bytes:
    """Read a file by mmengine's backends.

    Args:
        path: Path or URL.
        backend_args: See :func:`mmengine.fileio.get`.

    Returns:
        The bytes.

    Raises:
        OSError: The file is missing, sealed, or no regular one; reading from a
            pipe would wait for ever.
        ValueError: It is too large, or its address is not understood.
    """
    try:
        backend = get_file_backend(
            path, backend_args=backend_args, enable_singleton=True)
    except KeyError:
        raise ValueError('no file backend of mmengine knows the scheme of '
                         'its address') from None
    if isinstance(backend, LocalBackend):
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise OSError('it is a folder')
        if not stat.S_ISREG(status.st_mode):
            raise OSError('it is a pipe or a device')
        if status.st_size > _MAX_BYTES:
            raise ValueError(f'it has {status.st_size / 1e9:.1f} GB')
    if isinstance(backend, HTTPBackend):  # which waits and reads for ever
        with urlopen(path, timeout=_TIMEOUT) as reply:
            content = reply.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError(f'it has more than {_MAX_BYTES / 1e9:.1f} GB')
        return content
    return backend.get(path)


def open_image(content: bytes,
               max_pixels: int = MAX_PIXELS,
               formats: Sequence[str] = FORMATS) -> Image.Image:
    """Read the head of an image file.

    Args:
        content: The bytes of a file.
        max_pixels: Largest number of pixels.
        formats: Pillow's names of the formats to read.

    Returns:
        The image, of which no pixel is decoded yet.

    Raises:
        ValueError: It is too large or of another format.
        Exception: Of Pillow, if the file is damaged.
    """
    try:
        with warnings.catch_warnings():  # max_pixels says what is too large
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=formats)
    except UnidentifiedImageError:
        hint = ''
        if content[4:12] in _HEIC and 'HEIF' not in FORMATS:
            hint = '; this one is HEIC, which needs `pip install pillow-heif`'
        raise ValueError('it holds no image, or one of another format than '
                         f'{", ".join(formats)}{hint}') from None
    except Image.DecompressionBombError:
        raise ValueError(f'it has more than {MAX_PIXELS} pixels') from None
    check_size(image, max_pixels)
    if content.startswith(b'\xff\xd8') and _has_many_scans(content):
        raise ValueError(f'it has more than {_MAX_SCANS} scans')
    return image


def check_size(image: Image.Image, max_pixels: int = MAX_PIXELS) -> None:
    """Bound an image before it is decoded.

    Raises:
        ValueError: It has more than ``max_pixels``, or none.
    """
    if not 0 < image.width * image.height <= max_pixels:
        raise ValueError(f'it has {image.width} x {image.height} pixels, '
                         f'where 1 to {max_pixels} are read')


def _has_many_scans(jpeg: bytes) -> bool:
    """Whether libjpeg would decode an image again and again."""
    if jpeg.count(b'\xff\xda') <= _MAX_SCANS:
        return False
    # Not only by that count: behind the image may lie a film. Of the markers
    # that libjpeg heeds, these are followed by the length of their segment.
    marker = re.compile(rb'\xff([\xc0-\xcf\xd9-\xfe])')
    place = scans = 0
    while (found := marker.search(jpeg, place)) and found[1] != b'\xd9':
        place = found.end()
        place += int.from_bytes(jpeg[place:place + 2], 'big')
        scans += found[1] == b'\xda'
    return scans > _MAX_SCANS


def decode_image(
    content: bytes,
    backend: str | None = 'pillow',
    min_edge: int | None = None,
    turn: bool = True,
    max_pixels: int = MAX_PIXELS,
    formats: Sequence[str] = FORMATS,
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode an image file.

    Args:
        content: The bytes of a file.
        backend: What decodes ordinary JPEG files: 'torchvision', 'cv2' or
            'turbojpeg'. Pillow decodes all others, and these by any other
            name.
        min_edge: Pixels that the shorter edge keeps. JPEG files are decoded at
            1/2, 1/4 or 1/8 of their size if that suffices.
        turn: Whether to turn the image as its metainfo says.
        max_pixels: Largest number of pixels.
        formats: Pillow's names of the formats to read.

    Returns:
        What :func:`show` makes of it, and (height, width) of the file.

    Raises:
        Exception: If the file is damaged, too large or of another format.
    """
    image = open_image(content, max_pixels, formats)
    size, orientation = image.size, orientation_of(image) if turn else 1
    if min_edge is not None:
        image.draft(image.mode, (min_edge, min_edge))
    reduced = image.size != size
    bgr = None
    if (image.format == 'JPEG' and image.mode == 'RGB' and orientation == 1
            and not reduced):
        bgr = _decode_plain_jpeg(content, backend)
    if bgr is None:
        bgr = show(image, turn)
    if not reduced:
        return bgr, bgr.shape[:2]
    return bgr, size if orientation > 4 else size[::-1]


def load_image(
        path: str | os.PathLike,
        decode: Callable[[bytes], tuple[np.ndarray,
                                        tuple[int, int]]] = decode_image,
        backend_args: dict | None = None
) -> tuple[np.ndarray, tuple[int, int]]:
    """Read an image file.

    Args:
        path: Path or URL.
        decode: What becomes of its bytes, see :func:`decode_image`.
        backend_args: See :func:`read_file`.

    Returns:
        What ``decode`` gives.

    Raises:
        UnreadableImageError: The file is missing or damaged.
    """
    path = os.fspath(path)
    try:
        return decode(read_file(path, backend_args))
    except (ImportError, MemoryError):
        raise
    # Pillow's decoders have no one error for damaged files.
    except Exception as error:
        # of names that are no Unicode, logs can show this much
        name = path.encode(errors='backslashreplace').decode()
        raise UnreadableImageError(
            f"Image '{name}' cannot be read ({reason_of(error)}): replace the "
            'file, or take it out of the data set.') from error


def _decode_plain_jpeg(content: bytes,
                       backend: str | None) -> np.ndarray | None:
    """BGR image of an upright JPEG file in colour, by a faster decoder than
    Pillow; None where there is none, or it might not notice damage."""
    if backend == 'torchvision' and hasattr(torch.ops.image, 'decode_jpeg'):
        planes = decode_jpeg(
            torch.frombuffer(bytearray(content), dtype=torch.uint8))
        rgb = planes.permute(1, 2, 0).numpy()
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    # OpenCV and TurboJPEG fill up what was cut off.
    if backend in ('cv2', 'turbojpeg') and content.endswith(b'\xff\xd9'):
        return mmcv.imfrombytes(content, backend=backend)
    return None
