from mmengine.fileio import get_local_path
from PIL import ExifTags, Image

# Orientations of a photo that is stored lying on its side.
_TURNED = (5, 6, 7, 8)


def image_size(data_info: dict) -> tuple[int, int] | None:
    """Find the size of an image without decoding it.

    It is taken from ``height`` and ``width``, else from ``img_shape``, else
    from the header of the file ``img_path``. Photos are turned upright by
    their EXIF orientation, as MMCV does when it loads them.

    Args:
        data_info: What ``get_data_info`` of a dataset gives.

    Returns:
        Height and width in pixels; None where none of the three is known, or
        the header cannot be read.
    """
    if data_info.get('height') and data_info.get('width'):
        return data_info['height'], data_info['width']
    if 'img_shape' in data_info:
        return tuple(data_info['img_shape'][:2])
    try:
        with get_local_path(data_info['img_path']) as path, \
                Image.open(path) as image:
            width, height = image.size
            orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:
        # Pillow raises all sorts. What is wrong with the file is for the
        # pipeline to say, which knows whether it may be skipped.
        return None
    return (width, height) if orientation in _TURNED else (height, width)
