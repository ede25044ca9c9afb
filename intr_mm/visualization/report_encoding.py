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

from intr_mm.evaluation import chosen_share
from intr_mm.structures import Explanation
from .heat import QUANTILE, difference_colors, heat_colors

_PAGE = Path(__file__).parent / 'report_page'
# Code 0 is no attention to speak of, code q > 0 is 2 ** (_FLOOR + _STEP *
# (q - 1)) times uniform attention: from 1/8 to 7,500 times, within 2.2 %.
_FLOOR, _STEP = -3, 1 / 16
# Bytes of a JPEG for a pixel of a square photo: 20 KB at 320 pixels, so that a
# report of 1,000 photos stays below 40 MB. Of CUB's photos, 10 % are larger.
_MAX_DENSITY = .2


@dataclass
class EncodedExplanation:
    """An explanation as the page keeps it.

    Args:
        meta: What JSON can say.
        image: JPEG file.
        maps: Zlib stream of one uint8 code for each cell of the maps (L, K,
            heads, h, w): attention on a logarithmic scale relative to uniform,
            or evidence on a linear one, from -127 at code 1 to 127 at code
            255, which is the layer's peak.
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
    """Compact form of an explanation for the page: of its evidence where it
    has such, else of its attention.

    Args:
        explanation: Image, scores and maps.
        image_size: Longest side in pixels to which larger images are scaled
            down.
        quality: Quality of the JPEG images, 1 to 100. It is lower for an
            image that would take more than a fifth of ``image_size`` squared.

    Returns:
        Some tens of kilobytes.

    Raises:
        ValueError: If a score or a map is not finite.
    """
    image, scores = explanation.image, np.asarray(explanation.scores)
    maps, layers = np.asarray(explanation.maps), explanation.layers
    if explanation.evidence is not None:
        maps, layers = explanation.evidence, layers[-1:]
    if not (np.isfinite(scores).all() and np.isfinite(maps).all()):
        raise ValueError(
            f"Scores or maps of '{explanation.name}' are not finite; check "
            'the weights of the model.')
    if max(image.shape[:2]) > image_size:
        image = mmcv.imrescale(
            image, (image_size, image_size), interpolation='area')
    for quality in range(quality, 0, -5):  # less for what would take too much
        jpeg = cv2.imencode('.jpg', image[..., ::-1],
                            [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(jpeg) <= _MAX_DENSITY * image_size**2:
            break
    # Where several classes can be true, no one of them is right or wrong.
    several = explanation.multi_label
    gt_label = None if several else explanation.gt_label
    meta = dict(
        name=explanation.name,
        gt=None if gt_label is None else int(gt_label),
        pred=int(scores.argmax()),
        confidence=_rounded(scores.max()),
        classes=[int(cls) for cls in explanation.classes],
        scores=[_rounded(scores[cls]) for cls in explanation.classes],
        layers=[int(layer) for layer in layers],
        grid=list(maps.shape[-3:]),
        size=[int(length) for length in explanation.img_shape],
        stride=float(explanation.geometry.stride),
        offset=float(explanation.geometry.offset),
        width=image.shape[1],
        height=image.shape[0])
    if explanation.evidence is not None:
        codes, of_kind = _encode_evidence(maps)
        meta['found'] = [_rounded(mass) for mass in explanation.found_mass]
    else:
        codes, of_kind = _encode_attention(maps)
    meta.update(of_kind)
    if several:
        meta['several'] = dict(
            gt=explanation.gt_label, pred=explanation.predicted)
    if explanation.even_scores is not None and not several:
        even = explanation.even_scores
        meta['even'] = dict(score=_rounded(even[meta['pred']]))
        for kind in ('gt', 'pred'):
            if meta[kind] is not None:
                meta['even'][kind] = chosen_share(even, meta[kind])
    return EncodedExplanation(meta, jpeg, zlib.compress(codes.tobytes(), 9))


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
        difference=difference_colors()(np.arange(256), bytes=True))
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


def _encode_attention(maps: np.ndarray) -> tuple[np.ndarray, dict]:
    ratios = maps * (maps.shape[-2] * maps.shape[-1])
    with np.errstate(divide='ignore'):
        codes = np.rint((np.log2(ratios) - _FLOOR) / _STEP) + 1
    return codes.clip(0, 255).astype(np.uint8), dict(
        kind='attention',
        head_ends=_ends(ratios),
        mean_ends=_ends(ratios.mean(2)))


def _ends(parts: np.ndarray) -> list[tuple[float, float]]:
    """Of each layer, or of each class, what few cells exceed, which would
    empty its scale, and what none does."""
    return [(_rounded(np.quantile(part, QUANTILE)), _rounded(part.max()))
            for part in np.abs(parts)]


def _encode_evidence(evidence: np.ndarray) -> tuple[np.ndarray, dict]:
    """Codes of (K, heads, h, w), and what the page needs: the peak of the
    codes, the top of a scale that holds sums of heads and differences of two
    classes too, the ends of one for all heads of each class and of one for
    their sum, and the exact sums over cells (K, heads)."""
    peak = _rounded(np.abs(evidence).max())
    codes = 128 + np.rint(127 * evidence / (peak or 1)).clip(-127, 127)
    both = np.concatenate((evidence, evidence.sum(1, keepdims=True)), 1)
    top = max(np.abs(both).max(), np.ptp(both, axis=0).max())
    sums = evidence.sum((-2, -1)).tolist()
    return codes.astype(np.uint8), dict(
        kind='evidence',
        peaks=[peak],
        top=_rounded(top),
        head_ends=_ends(evidence),
        mean_ends=_ends(evidence.sum(1)),
        sums=[[_rounded(value) for value in row] for row in sums])


def _rounded(value: float) -> float:
    return float(f'{value:.5g}')
