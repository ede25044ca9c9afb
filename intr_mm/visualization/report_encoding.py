"""What the page of a report, and that of ``tools/serve.py``, read."""
import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import mmcv
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgba

from intr_mm.structures import Explanation
from .figures import heat_colors

_PAGE = Path(__file__).parent / 'report_page'
# Code 0 is no attention to speak of, code q > 0 is 2 ** (_FLOOR + _STEP *
# (q - 1)) times uniform attention: from 1/8 to 7,500 times, within 2.2 %.
_FLOOR, _STEP = -3, 1 / 16


@dataclass
class EncodedExplanation:
    """An explanation as the page keeps it.

    Args:
        meta: What JSON can say.
        image: JPEG file.
        maps: Zlib stream of one uint8 code for each cell of the maps (L, K,
            heads, h, w), on a logarithmic scale relative to uniform attention.
    """
    meta: dict
    image: bytes
    maps: bytes

    def base64(self) -> tuple[str, str]:
        """Image and maps as ASCII text.

        Returns:
            Image and maps.
        """
        return tuple(
            base64.b64encode(part).decode()
            for part in (self.image, self.maps))


def encode_explanation(explanation: Explanation,
                       image_size: int = 320,
                       quality: int = 80) -> EncodedExplanation:
    """Compact form of an explanation for the page.

    Args:
        explanation: Image, scores and maps.
        image_size: Longest side in pixels to which larger images are scaled
            down.
        quality: Quality of the JPEG images, 0 to 100.

    Returns:
        Some tens of kilobytes.

    Raises:
        ValueError: If a score or a map is not finite.
    """
    image, scores = explanation.image, np.asarray(explanation.scores)
    maps = np.asarray(explanation.maps)
    if not (np.isfinite(scores).all() and np.isfinite(maps).all()):
        raise ValueError(
            f"Scores or attention maps of '{explanation.name}' are not "
            'finite; check the weights of the model.')
    if max(image.shape[:2]) > image_size:
        image = mmcv.imrescale(
            image, (image_size, image_size), interpolation='area')
    jpeg = cv2.imencode('.jpg', image[..., ::-1],
                        [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    ratios = maps * (maps.shape[-2] * maps.shape[-1])
    gt_label = explanation.gt_label
    meta = dict(
        name=explanation.name,
        gt=None if gt_label is None else int(gt_label),
        pred=int(scores.argmax()),
        confidence=_rounded(scores.max()),
        classes=[int(cls) for cls in explanation.classes],
        scores=[_rounded(scores[cls]) for cls in explanation.classes],
        layers=[int(layer) for layer in explanation.layers],
        peaks=[_rounded(layer.max()) for layer in ratios],
        grid=list(maps.shape[-3:]),
        size=[int(length) for length in explanation.img_shape],
        stride=float(explanation.geometry.stride),
        offset=float(explanation.geometry.offset),
        width=image.shape[1],
        height=image.shape[0])
    return EncodedExplanation(meta, jpeg,
                              zlib.compress(_quantise(ratios).tobytes(), 9))


def page_settings(class_names: Sequence[str] | None, title: str) -> dict:
    """Names, scales and colours, the same for all images of a page.

    Args:
        class_names: Names of all classes.
        title: Title of the page.

    Returns:
        For :func:`json_block`, under the id ``settings``.
    """
    colors = dict(
        heat=heat_colors()(np.arange(256), bytes=True),
        difference=_difference_colors()(np.arange(256), bytes=True))
    if class_names is not None:
        class_names = [str(name).replace('_', ' ') for name in class_names]
    return dict(
        title=title,
        classNames=class_names,
        heat=dict(
            floor=_FLOOR,
            step=_STEP,
            colors={
                name: base64.b64encode(lut.tobytes()).decode()
                for name, lut in colors.items()
            }))


def json_block(name: str, value) -> str:
    """Element that gives data to the page, whatever characters they have.

    Args:
        name: Id of the element.
        value: What JSON can say.

    Returns:
        HTML in ASCII.
    """
    # No tag or comment can begin without this character.
    text = json.dumps(value, separators=(',', ':')).replace('<', '\\u003c')
    return f'<script type="application/json" id="{name}">{text}</script>'


def page_part(name: str) -> str:
    """Text of a file of the page.

    Args:
        name: File name, such as ``'style.css'``.

    Returns:
        Its text.
    """
    return (_PAGE / name).read_text(encoding='utf-8')


def _difference_colors() -> LinearSegmentedColormap:
    """Blue below, orange above, and the clearer the smaller. The pale middle
    of usual diverging maps would hide the image."""
    # The page rounds no difference to 128.
    share = (np.arange(256) - 128).clip(-127) / 127
    colors = np.where(share[:, None] < 0, to_rgba('#2079ff'),
                      to_rgba('#ff8a00'))
    colors[:, 3] = .9 * np.abs(share)**.7
    return LinearSegmentedColormap.from_list('difference', colors)


def _quantise(ratios: np.ndarray) -> np.ndarray:
    with np.errstate(divide='ignore'):
        codes = np.rint((np.log2(ratios) - _FLOOR) / _STEP) + 1
    return codes.clip(0, 255).astype(np.uint8)


def _rounded(value: float) -> float:
    return float(f'{value:.5g}')
