"""What images of Pillow's modes, and arrays, show: 8 bits in colour."""
import cv2
import numpy as np
from PIL import ExifTags, Image, ImageCms

# Pillow's limit, more than 13,000 x 13,000: 540 MB when decoded.
MAX_PIXELS = 2 * 89_478_485
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def show(image: Image.Image, turn: bool = True) -> np.ndarray:
    """What a person sees of an image.

    The paper behind transparent pixels is white, and animations show their
    first picture. Grey of 16 bits is brought to 8. Whole numbers of 32 bits
    and floats do not tell which is white, see :func:`to_levels`. Colour
    profiles are not applied.

    Args:
        image: Of any of Pillow's modes.
        turn: Whether to turn the image as its metainfo says.

    Returns:
        BGR image (H, W, 3), uint8, contiguous.

    Raises:
        ValueError: It is not known which value is white.
        Exception: Of Pillow, if the file is damaged.
    """
    image.load()  # which turns TIFF upright
    orientation = orientation_of(image) if turn else 1
    if image.mode[0] in 'IF':
        image = _show_grey(image)
    elif image.mode == 'LAB':
        image = ImageCms.profileToProfile(
            image,
            ImageCms.createProfile('LAB'),
            ImageCms.createProfile('sRGB'),
            outputMode='RGB')
    elif image.has_transparency_data:
        if image.mode == 'La':
            image = image.convert('LA')
        rgba = image.convert('RGBA')
        image = Image.new('RGB', image.size, 'white')
        image.paste(rgba, mask=rgba.getchannel('A'))
    image = image.convert('RGB')
    if orientation in _TURNS:
        image = image.transpose(_TURNS[orientation])
    return cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR)


def orientation_of(image: Image.Image) -> int:
    """The number that EXIF has for it, 1 upright."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1  # damaged metainfo hides no picture


def upright_shape(image: Image.Image) -> tuple[int, int]:
    """Height and width of what :func:`show` gives of an image that is not
    loaded yet."""
    width, height = image.size
    # of TIFF, Pillow says how it will lie
    if image.format != 'TIFF' and orientation_of(image) > 4:
        return width, height
    return height, width


def _show_grey(image: Image.Image) -> Image.Image:
    """Grey levels of an image of the modes I, I;16 (and relatives) and F."""
    values, white = np.asarray(image), None
    tags = getattr(image, 'tag_v2', {})
    if image.mode.startswith('I;16'):
        # 12 bits of TIFF come in the lower bits of 16
        depth = tags.get(ExifTags.Base.BitsPerSample, (16, ))[0]
        white = 2**depth - 1
    elif image.mode == 'I' and image.format in ('PNG', 'PPM'):
        white = 65535  # as both Pillow's readers bring it to
    levels = to_levels(values, white)
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:
        levels = ~levels  # white is zero, which Pillow passes over
    if 'transparency' in image.info:
        levels = np.where(values == image.info['transparency'], 255, levels)
    return Image.fromarray(levels.astype(np.uint8))


def to_levels(values: np.ndarray, white: float | None = None) -> np.ndarray:
    """Bring the values of an image to 8 bits.

    Args:
        values: Any shape, real numbers.
        white: The value that is white. By default it follows from the type for
            truth values and whole numbers of 8 or 16 bits. Else it is the
            least of 1 (floats only), 255 and 65535 that no value exceeds.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: A value is negative, not finite, or more than white.
    """
    values = np.asarray(values)
    if values.dtype == np.uint8 and white in (None, 255):
        return values
    if values.dtype == bool:
        return values * np.uint8(255)
    if values.dtype.kind not in 'uif':
        raise ValueError(f'it holds {values.dtype} instead of real numbers')
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError('it has values that are infinite or NaN')
    if white is None:
        whites = dict(
            u1=[255],
            u2=[65535]).get(values.dtype.str[1:],
                            [1] * (values.dtype.kind == 'f') + [255, 65535])
        white = next((white for white in whites if high <= white), 0)
    if low < 0 or high > white:
        raise ValueError(f'its values reach from {low:g} to {high:g}, which '
                         'does not tell black and white: bring them to 0 to '
                         '255')
    if values.dtype.str[1:] not in ('u1', 'u2', 'i4', 'f4'):
        values = values.astype(np.float32)
    values = np.ascontiguousarray(values, values.dtype.newbyteorder('='))
    return cv2.convertScaleAbs(
        values.reshape(len(values), -1),
        alpha=255 / white).reshape(values.shape)


def show_array(array: np.ndarray) -> np.ndarray:
    """What a person sees of an array.

    Args:
        array: (H, W), (H, W, C) or (C, H, W) of any real type, see
            :func:`to_levels`: grey, grey and opacity, BGR, or BGR and opacity.
            An axis of length 1 in front is taken for a batch of one.

    Returns:
        BGR image (H, W, 3), uint8.

    Raises:
        ValueError: If it is no image.
    """
    shape = array.shape
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[2] > 4 and array.shape[0] <= 4:
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2]
                                    not in (2, 3, 4)) or not array.size:
        raise ValueError(
            f'it has the shape {shape} instead of (H, W), (H, W, C) or '
            '(C, H, W) with 1 to 4 channels')
    height, width = array.shape[:2]
    if height * width > MAX_PIXELS:
        raise ValueError(f'it has {width} x {height} pixels, where 1 to '
                         f'{MAX_PIXELS} are read')
    levels = np.ascontiguousarray(to_levels(array))
    if array.ndim == 3 and array.shape[2] == 3:
        return levels
    image = Image.fromarray(levels)  # BGR under the name of RGB
    return np.ascontiguousarray(show(image)[..., ::-1])
