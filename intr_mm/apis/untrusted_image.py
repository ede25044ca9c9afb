"""Photos that strangers send."""
import io
import warnings
from http import HTTPStatus

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP')
# Pipelines enlarge the short edge, which makes a line of pixels immense.
MAX_ASPECT = 10


class Refusal(Exception):
    """A request that is answered by an error of one sentence."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def decode_image(data: bytes, max_pixels: int) -> np.ndarray:
    """Decode a photo of which nothing is trusted.

    Args:
        data: The file.
        max_pixels: Largest number of pixels.

    Returns:
        BGR image (H, W, 3), uint8, turned upright.

    Raises:
        Refusal: If it is too large or no photo.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error', Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        # known before any pixel is decoded
        if image.width * image.height > max_pixels:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f'The photo has {image.width} x {image.height} pixels, send '
                f'one of at most {max_pixels}.')
        if max(image.size) > MAX_ASPECT * min(image.size):
            raise Refusal(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f'The photo has {image.width} x {image.height} pixels, send '
                f'one at most {MAX_ASPECT} times as long as it is wide.')
        image = ImageOps.exif_transpose(image).convert('RGB')
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f'The photo has too many pixels, send one of at most '
            f'{max_pixels}.') from None
    except UnidentifiedImageError:
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            'The file is no photo that can be read, send one in the format '
            f'{", ".join(FORMATS)}.') from None
    # Pillow's decoders raise all of these for damaged files.
    except (OSError, SyntaxError, ValueError, IndexError, TypeError):
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                      'The photo is damaged, send another one.') from None
    return np.ascontiguousarray(np.asarray(image)[..., ::-1])
