"""Paints a scene with a bird of a given species, and its part labels."""
import cv2
import numpy as np

from . import anatomy
from .scene import SUPERSAMPLING
from .species import PARTS

BODY_LABEL = 1
PART_LABELS = {part: 2 + index for index, part in enumerate(PARTS)}

# An occluder that hides more of any part than this is left out.
_MAX_HIDDEN = .4
# Fractional bits of the coordinates handed to OpenCV.
_SHIFT = 4

_RED, _DARK_BLUE = (45, 40, 215), (110, 40, 25)
_ORANGE, _GREY = (20, 140, 250), (120, 120, 115)
_WHITE, _BLACK = (245, 248, 248), (25, 22, 22)
_CREAM, _SPOT, _BARK = (165, 205, 220), (35, 35, 75), (50, 70, 95)


def paint(scene, attributes):
    """Paint a scene with a bird of the given attributes.

    Args:
        scene: The scene; left as it is.
        attributes: Which of the parts are "on".

    Returns:
        tuple[np.ndarray]: The uint8 image (H, W, 3) in BGR order and the
        uint8 label map (H, W): 0 off the bird and where something hides it,
        ``BODY_LABEL``, and ``PART_LABELS``. The map is the same for all
        attributes: a part's region covers all that the part may look like.
    """
    brush = _Brush(scene)
    _paint_bird(brush, scene, dict(zip(PARTS, attributes)))
    _paint_occluders(brush, scene)
    image = cv2.resize(
        brush.canvas, (scene.img_size, scene.img_size),
        interpolation=cv2.INTER_AREA)
    image = np.clip(image * scene.light + scene.noise, 0, 255)
    labels = brush.labels[::SUPERSAMPLING, ::SUPERSAMPLING]
    return image.astype(np.uint8), labels.copy()


class _Brush:
    """Paints outlines of the bird on the canvas and on the label map."""

    def __init__(self, scene):
        self.scene = scene
        self.canvas = scene.background.copy()
        self.labels = np.zeros(self.canvas.shape[:2], np.uint8)

    def fill(self, points, colour):
        cv2.fillPoly(self.canvas, self._fixed(points), colour, cv2.LINE_AA,
                     _SHIFT)

    def label(self, points, label):
        cv2.fillPoly(self.labels, self._fixed(points), label, cv2.LINE_8,
                     _SHIFT)

    def contour(self, points):
        cv2.polylines(self.canvas,
                      self._fixed(points), True, self.scene.outline,
                      self._width(2.5), cv2.LINE_AA, _SHIFT)

    def line(self, points, colour, width):
        cv2.polylines(self.canvas, self._fixed(points), False, colour,
                      self._width(width), cv2.LINE_AA, _SHIFT)

    def dots(self, points, colour, radius):
        radius = radius * 2**_SHIFT * self.scene.canvas_size / 192
        # OpenCV's own small circles look like crosses.
        circle = radius * anatomy.CIRCLE
        polygons = np.int32(self._fixed(points)[0][:, None] + circle)
        cv2.fillPoly(self.canvas, list(polygons), colour, cv2.LINE_AA, _SHIFT)

    def _fixed(self, points):
        return [np.int32(np.round(self.scene.place(points) * 2**_SHIFT))]

    def _width(self, units):
        return max(1, round(units * self.scene.canvas_size / 192))


def _paint_bird(brush, scene, on):
    head, crown, long_beak, short_beak, eye = map(
        scene.turn_head, (anatomy.HEAD, anatomy.CROWN, anatomy.BEAK_LONG,
                          anatomy.BEAK_SHORT, anatomy.EYE))
    beak = long_beak if on['beak'] else short_beak

    brush.line(anatomy.TWIG, _BARK, 5)
    for leg in anatomy.LEGS:
        brush.line(leg, scene.outline, 3)
    for points in (anatomy.TAIL, anatomy.BODY, head, crown, beak):
        brush.contour(points)
    brush.fill(anatomy.TAIL, scene.dark_plumage)
    if on['tail']:
        for band in anatomy.TAIL_BANDS:
            brush.fill(band, _WHITE)
    brush.fill(anatomy.BODY, scene.plumage)
    brush.fill(head, scene.plumage)
    brush.fill(anatomy.BREAST, _CREAM)
    if on['breast']:
        brush.dots(scene.spots, _SPOT, 2.3)
    brush.fill(anatomy.WING, scene.dark_plumage)
    if on['wing']:
        for bar in anatomy.WING_BARS:
            brush.fill(bar, _WHITE)
    if on['collar']:
        brush.fill(anatomy.COLLAR, _WHITE)
    brush.fill(crown, _RED if on['crown'] else _DARK_BLUE)
    brush.fill(beak, _ORANGE if on['beak'] else _GREY)
    brush.dots(eye, _WHITE, 3.6)
    brush.dots(eye, _BLACK, 2.4)

    for points, label in ((anatomy.TAIL, 'tail'), (anatomy.BODY, None),
                          (head, None), (anatomy.BREAST, 'breast'),
                          (anatomy.WING, 'wing'), (anatomy.COLLAR, 'collar'),
                          (crown, 'crown'), (long_beak, 'beak'), (short_beak,
                                                                  'beak')):
        brush.label(points, PART_LABELS.get(label, BODY_LABEL))


def _paint_occluders(brush, scene):
    visible = np.bincount(brush.labels.ravel(), minlength=2 + len(PARTS))
    least = (1 - _MAX_HIDDEN) * visible[BODY_LABEL:]
    for outline, colour in scene.occluders:
        labels = brush.labels.copy()
        points = [np.int32(outline)]
        cv2.fillPoly(labels, points, 0)
        left = np.bincount(labels.ravel(), minlength=2 + len(PARTS))
        if (left[BODY_LABEL:] >= least).all():
            brush.labels = labels
            cv2.fillPoly(brush.canvas, points, colour, cv2.LINE_AA)
