"""An image is the same to all that read it, or is refused by name."""
import io
import os
import socket

import numpy as np
import PIL
import pytest
from mmengine.utils import digit_version
from mmpretrain.registry import TRANSFORMS
from PIL import Image, ImageCms

from intr_mm.apis.image_inputs import read_image
from intr_mm.datasets import image_file
from intr_mm.datasets.image_file import EXTENSIONS, FORMATS, decode_image
from intr_mm.datasets.image_modes import show_array

ORIENTATION = 0x0112
SIZE = (48, 32)  # width, height
# 8 x 8 blocks survive JPEG; the first is red, the last row fades to clear
BLOCKS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
BLOCKS[0, 0] = 255, 0, 0
PHOTO = Image.fromarray(BLOCKS).resize(SIZE, Image.Resampling.NEAREST)
GREY = PHOTO.convert('L')
ALPHA = Image.fromarray(
    np.repeat(np.uint8([255, 255, 128, 0]), 8)[:, None].repeat(48, 1))


def levels(mode, factor):
    array = np.asarray(GREY).astype(dict(F='f4', I='i4').get(mode, 'u2'))
    return Image.fromarray(array * np.array(factor, array.dtype))


def with_alpha(image):
    image = image.copy()
    image.putalpha(ALPHA)
    return image


def lab():
    return ImageCms.profileToProfile(
        PHOTO,
        ImageCms.createProfile('sRGB'),
        ImageCms.createProfile('LAB'),
        outputMode='LAB')


def on_white(image):
    rgb = np.asarray(image.convert('RGB'), float)
    return 255 + (rgb - 255) * np.asarray(ALPHA)[..., None] / 255


# Older ones take its three bytes in a TIFF for four, and find it truncated.
YCBCR = 'jpeg tiff' if digit_version(PIL.__version__) >= (13, ) else 'jpeg'
# mode: its image, what a person sees of it, and the formats that hold it
MODES = {
    '1': (PHOTO.convert('1'), PHOTO.convert('1'), 'png tiff bmp webp gif'),
    'L': (GREY, GREY, 'png jpeg tiff bmp gif webp jpeg2000 ppm avif'),
    'LA': (with_alpha(GREY), on_white(GREY), 'png tiff webp avif jpeg2000'),
    'P': (PHOTO.quantize(24), PHOTO, 'png tiff bmp gif'),
    'PA': (with_alpha(PHOTO).quantize(64), on_white(PHOTO), 'png'),
    'RGB': (PHOTO, PHOTO, 'png jpeg tiff bmp webp jpeg2000 ppm avif heif'),
    'RGBA':
    (with_alpha(PHOTO), on_white(PHOTO), 'png tiff webp avif jpeg2000 heif'),
    'CMYK': (PHOTO.convert('CMYK'), PHOTO, 'jpeg tiff'),
    'YCbCr': (PHOTO.convert('YCbCr'), PHOTO, YCBCR),
    'LAB': (lab(), PHOTO, 'tiff'),
    'HSV': (PHOTO.convert('HSV'), PHOTO, ''),
    'I;16': (levels('I;16', 257), GREY, 'png tiff'),
    'I': (levels('I', 257), GREY, 'tiff'),
    'I, 8 bits': (levels('I', 1), GREY, 'tiff'),
    'F, 0 to 1': (levels('F', 1 / 255), GREY, 'tiff'),
    'F, 0 to 255': (levels('F', 1), GREY, 'tiff'),
}
CASES = [(mode, name) for mode, (_, _, formats) in MODES.items()
         for name in formats.split()]
DECODERS = ('pillow', 'torchvision', 'cv2', 'tifffile')


def encode(image, name, **kwargs):
    if name.upper() not in FORMATS:
        pytest.skip(f'{name} is not installed')
    options = dict(
        jpeg=dict(quality=98, subsampling=0),
        webp=dict(lossless=True),
        avif=dict(quality=98, subsampling='4:4:4'),
        heif=dict(quality=-1))
    file = io.BytesIO()
    image.save(file, name, **options.get(name, {}), **kwargs)
    return file.getvalue()


def loaded(content, folder, backend='pillow', **kwargs):
    path = folder / 'image'
    path.write_bytes(content)
    transform = TRANSFORMS.build(
        dict(type='LoadIntactImage', imdecode_backend=backend, **kwargs))
    return transform(dict(img_path=str(path)))['img']


def check(bgr, expected, tolerance=2.5):
    if isinstance(expected, Image.Image):
        expected = np.asarray(expected.convert('RGB'), float)
    assert bgr.dtype == np.uint8 and bgr.shape == expected.shape
    assert bgr.flags.c_contiguous
    assert np.abs(bgr[..., ::-1] - expected).mean() < tolerance


@pytest.mark.parametrize('mode, name', CASES)
def test_modes_in_formats(mode, name, tmp_path):
    """Each decoder of training and tests, and what inferencer and page call,
    see the same."""
    image, expected, _ = MODES[mode]
    content = encode(image, name)
    views = [loaded(content, tmp_path, backend) for backend in DECODERS]
    views.append(loaded(content, tmp_path, ignore_empty=True, min_edge=32))
    views.append(read_image(Image.open(io.BytesIO(content)))['img'])
    views.append(decode_image(content)[0])
    for view in views:
        check(view, expected)
        assert np.abs(view.astype(int) - views[0]).max() <= 3


@pytest.mark.parametrize('mode', MODES)
def test_modes_in_memory(mode):
    image, expected, _ = MODES[mode]
    check(read_image(image)['img'], expected)


@pytest.mark.parametrize('name', ['jpeg', 'png', 'webp', 'tiff', 'avif'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_images_stand_upright(name, orientation, tmp_path):
    # how the picture lies in the file, for each way to turn it
    lying = np.asarray(PHOTO)
    lying = (lying, lying[:, ::-1], lying[::-1, ::-1], lying[::-1],
             lying.swapaxes(0, 1), np.rot90(lying), np.rot90(lying,
                                                             2).swapaxes(0, 1),
             np.rot90(lying, -1))[orientation - 1]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    content = encode(Image.fromarray(lying), name, exif=exif)
    for backend in DECODERS:
        check(loaded(content, tmp_path, backend), PHOTO)
    check(read_image(Image.open(io.BytesIO(content)))['img'], PHOTO)


def test_damaged_metainfo_hides_no_picture(tmp_path):
    content = encode(
        PHOTO, 'jpeg', exif=b'Exif\0\0MM\0*\0\0\0\x08\0\xff' + b'\xa5' * 90)
    for backend in DECODERS:
        check(loaded(content, tmp_path, backend), PHOTO)


def test_white_is_zero():
    """TIFF may count grey from white to black, also with 16 bits."""
    content = encode(levels('I;16', 257), 'tiff', tiffinfo={262: 0})
    check(decode_image(content)[0], Image.fromarray(255 - np.asarray(GREY)))


def test_a_transparent_grey_of_16_bits():
    values = np.asarray(GREY).astype(np.uint16) * 257
    content = encode(
        Image.fromarray(values), 'png', transparency=int(values[0, 0]))
    expected = np.where(values == values[0, 0], 255, np.asarray(GREY))
    check(decode_image(content)[0], Image.fromarray(expected.astype(np.uint8)))


@pytest.mark.parametrize('frames', ['gif', 'tiff', 'webp', 'png'])
def test_the_first_picture_is_read(frames):
    content = encode(
        PHOTO, frames, save_all=True, append_images=[PHOTO.rotate(180)])
    check(
        decode_image(content)[0],
        PHOTO.quantize(24) if frames == 'gif' else PHOTO, 4)


@pytest.mark.parametrize('values, reason', [
    (levels('I', 70000), 'which does not tell black and white'),
    (levels('I', -1), 'reach from -'),
    (levels('F', 1e6), 'which does not tell black and white'),
    (Image.fromarray(np.float32([[0, np.nan]])), 'infinite or NaN'),
])
def test_values_that_do_not_tell_white_are_refused(values, reason, tmp_path):
    with pytest.raises(OSError, match=f"Image '{tmp_path}/image'.*{reason}.*"):
        loaded(encode(values, 'tiff'), tmp_path)


PLAIN = np.asarray(PHOTO)[..., ::-1]  # BGR
ARRAYS = {
    'uint8': (PLAIN, PLAIN),
    'one channel': (PLAIN[..., :1], PLAIN[..., :1].repeat(3, 2)),
    'grey': (PLAIN[..., 0], PLAIN[..., :1].repeat(3, 2)),
    'channels first': (PLAIN.transpose(2, 0, 1), PLAIN),
    'batch of one': (PLAIN[None], PLAIN),
    'uint16': (PLAIN.astype(np.uint16) * 257, PLAIN),
    'int64': (PLAIN.astype(np.int64), PLAIN),
    'float64 to 1': (PLAIN / 255, PLAIN),
    'float16 to 255': (PLAIN.astype(np.float16), PLAIN),
    'big endian': (PLAIN.astype('>u2') * 257, PLAIN),
    'bool': (PLAIN[..., 0] > 99, np.repeat(255 * (PLAIN[..., :1] > 99), 3, 2)),
    'opacity': (np.dstack([PLAIN,
                           np.asarray(ALPHA)]), on_white(PHOTO)[..., ::-1]),
    'grey and opacity': (np.asarray(with_alpha(GREY)), on_white(GREY)),
}


@pytest.mark.parametrize('array, expected', ARRAYS.values(), ids=ARRAYS)
def test_arrays(array, expected):
    check(read_image(array)['img'], expected[..., ::-1].astype(float), 1)


@pytest.mark.parametrize('array, reason', [
    (np.zeros((2, 8, 8, 3), np.uint8), r'shape \(2, 8, 8, 3\)'),
    (np.zeros((8, 8, 5), np.uint8), r'shape \(8, 8, 5\)'),
    (np.zeros((0, 8, 3), np.uint8), r'shape \(0, 8, 3\)'),
    (np.zeros(8, np.uint8), r'shape \(8,\)'),
    (np.full((8, 8, 3), 300.), None),
    (np.full((8, 8, 3), -1), 'from -1 to -1'),
    (np.full((8, 8, 3), np.inf), 'infinite'),
    (np.full((8, 8, 3), 1j), 'complex128'),
    (np.full((8, 8, 3), 'a'), '<U1'),
    (np.full((8, 8, 3), None), 'object'),
])
def test_arrays_that_are_no_images(array, reason):
    if reason is None:
        assert (show_array(array) == 1).all()
        return
    with pytest.raises(ValueError, match=reason):
        read_image(array)


def test_pixels_are_bounded_before_any_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(image_file, 'show', None)
    monkeypatch.setattr(image_file, '_decode_plain_jpeg', None)
    for name in ('jpeg', 'png', 'tiff'):
        content = encode(PHOTO, name)
        for backend in DECODERS:
            with pytest.raises(OSError, match='48 x 32 pixels.* 1 to 1000'):
                loaded(content, tmp_path, backend, max_pixels=1000)


def test_jpeg_bomb():
    """The size in the head alone, of a file of some bytes."""
    content = bytearray(encode(PHOTO, 'jpeg'))
    at = content.index(b'\xff\xc0') + 5
    content[at:at + 4] = b'\xff\xff\xff\xff'
    for backend in DECODERS:
        with pytest.raises(ValueError, match='more than .* pixels'):
            decode_image(bytes(content), backend)


@pytest.mark.parametrize('make, reason', [
    (lambda path: os.mkfifo(path), 'a pipe or a device'),
    (lambda path: os.mkdir(path), 'a folder'),
    (lambda path: os.symlink(path, path), 'symbolic links'),
    (lambda path: os.symlink(path.parent / 'gone', path), 'No such file'),
    (lambda path: None, 'No such file'),
    (lambda path: path.write_bytes(b''), 'no image'),
    (lambda path: path.write_bytes(b'%!PS-Adobe-3.0 EPSF-3.0\n'), 'no image'),
    (lambda path: path.write_bytes(b'\0\0\0 ftypheic\0\0\0\0'), 'no image'),
    (lambda path: path.write_bytes(b'secret ' * 9), '(?!.*secret)'),
])
@pytest.mark.parametrize('training', [False, True])
def test_what_is_no_image_file(make, reason, training, tmp_path, capfd):
    path = tmp_path / 'x.jpg'
    make(path)
    transform = TRANSFORMS.build(
        dict(type='LoadIntactImage', ignore_empty=training))
    message = f"Image '{path}' cannot be read .*{reason}"
    if training:
        assert transform(dict(img_path=str(path))) is None
        assert transform.num_damaged == 1
        return
    with pytest.raises(OSError, match=message):
        transform(dict(img_path=str(path)))


@pytest.mark.parametrize('path, reason', [
    ('foo://bar/x.jpg', 'scheme'),
    ('a\0b.jpg', 'null byte'),
    ('http://127.0.0.1:9/x.jpg', 'refused'),
])
def test_addresses_that_lead_nowhere(path, reason):
    transform = TRANSFORMS.build(dict(type='LoadIntactImage'))
    with pytest.raises(OSError, match=reason):
        transform(dict(img_path=path))


def test_a_server_that_says_nothing(monkeypatch):
    monkeypatch.setattr(image_file, '_TIMEOUT', .1)
    with socket.create_server(('127.0.0.1', 0)) as server:
        path = f'http://127.0.0.1:{server.getsockname()[1]}/x.jpg'
        with pytest.raises(OSError, match='x.jpg. cannot be read .*timed out'):
            TRANSFORMS.build(dict(type='LoadIntactImage'))(dict(img_path=path))


def test_an_image_that_is_there_is_left_alone():
    results = dict(img=PLAIN, img_shape=(32, 48), ori_shape=(32, 48))
    transform = TRANSFORMS.build(dict(type='LoadIntactImage'))
    assert transform(results) is results


def test_endings_of_folders():
    assert {
        '.jpg', '.jpeg', '.png', '.webp', '.tif', '.tiff', '.bmp', '.gif',
        '.ppm', '.pgm', '.jp2', '.mpo'
    } <= set(EXTENSIONS)
    assert not {'.eps', '.pdf', '.mpg', '.h5'} & set(EXTENSIONS)
