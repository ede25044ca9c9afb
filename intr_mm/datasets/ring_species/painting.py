"""Paints birds of given species into a scene, with their part labels."""
import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

from . import anatomy
from .anatomy import PARTS

# Pictures are drawn twice as large and averaged down: smooth edges at 96 px.
SUPERSAMPLING = 2
BODY_LABEL = 1
PART_LABELS = {part: 2 + index for index, part in enumerate(PARTS)}

# An occluder that hides more of any part than this is left out.
_MAX_HIDDEN = .4
# Size of each of two birds, of that of one alone, and how often they are moved
# before others take their place.
_SIZE_OF_TWO, _MOVES = .66, 50
# Fractional bits of the coordinates handed to OpenCV.
_SHIFT = 4

# Blue, green and red, 0 to 255.
Colour = tuple[float, float, float]

_RED, _DARK_BLUE = (45, 40, 215), (110, 40, 25)
_ORANGE, _GREY = (20, 140, 250), (120, 120, 115)
_WHITE, _BLACK = (245, 248, 248), (25, 22, 22)
_CREAM, _SPOT, _BARK = (165, 205, 220), (35, 35, 75), (50, 70, 95)


def bgr(hue: float, saturation: float, value: float) -> Colour:
    """Convert a colour with components in [0, 1] to OpenCV's order."""
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return (255 * blue, 255 * green, 255 * red)


class Scene:
    """Pose, colours, surroundings and light of one picture.

    All random numbers are drawn here and none while painting, so that the
    same scene painted as another species differs only where a part differs.

    Args:
        rng: Source of the scene. ``RandomState`` because numpy keeps its
            stream the same over versions, which it does not promise for
            ``Generator``.
        img_size: Height and width of the picture in pixels.
        bird_size: Size of the bird, of what fills the picture.
    """

    def __init__(self,
                 rng: np.random.RandomState,
                 img_size: int,
                 bird_size: float = 1.) -> None:
        self.img_size = img_size
        self.bird_size = bird_size
        self.canvas_size = SUPERSAMPLING * img_size
        self._draw_pose(rng)
        self._draw_colours(rng)
        self._draw_background(rng)
        self._draw_occluders(rng)
        self._draw_light(rng)

    def _draw_pose(self, rng: np.random.RandomState) -> None:
        scale = self.canvas_size / 96 * self.bird_size * rng.uniform(.64, .82)
        angle, self.head_angle = np.deg2rad(rng.uniform(-22, 22, 2))
        shear = rng.uniform(-.15, .15)
        flip = rng.choice([-1, 1])
        rotation = np.array([[np.cos(angle), -np.sin(angle)],
                             [np.sin(angle), np.cos(angle)]])
        self.matrix = scale * rotation @ [[flip, shear], [0, 1]]
        self.origin = np.zeros(2)
        bird = self.place(
            np.concatenate([
                self.turn_head(anatomy.CROWN),
                self.turn_head(anatomy.BEAK_LONG), anatomy.TAIL, *anatomy.LEGS
            ]))
        self.hull = cv2.convexHull(np.float32(bird))  # about the origin
        self._room = -bird.min(0), self.canvas_size - 1 - bird.max(0)
        self.move(rng)

    def move(self, rng: np.random.RandomState) -> None:
        """Put the bird elsewhere."""
        low, high = self._room
        self.origin = low + rng.uniform(.02, .98, 2) * (high - low)

    def overlaps(self, other: 'Scene') -> bool:
        """Whether the hull of the bird meets that of another scene's."""
        hulls = [one.hull + np.float32(one.origin) for one in (self, other)]
        return cv2.intersectConvexConvex(*hulls)[0] > 0

    def _draw_colours(self, rng: np.random.RandomState) -> None:
        hue = rng.uniform()
        saturation, value = rng.uniform(.15, .5), rng.uniform(.5, .75)
        self.plumage = bgr(hue, saturation, value)
        self.dark_plumage = bgr(hue, saturation, .62 * value)
        self.outline = bgr(hue, saturation, .35 * value)
        self.spots = anatomy.SPOTS + rng.uniform(-.8, .8, anatomy.SPOTS.shape)

    def _draw_background(self, rng: np.random.RandomState) -> None:
        size = self.canvas_size
        base = bgr(rng.uniform(), rng.uniform(.1, .5), rng.uniform(.35, .8))
        coarse = rng.uniform(-35, 35,
                             (4, 4, 1)) + rng.uniform(-25, 25, (4, 4, 3))
        fine = rng.uniform(-18, 18, (12, 12, 3))
        colour = base + cv2.resize(coarse, (12, 12)) + fine
        self.background = cv2.resize(
            np.uint8(np.clip(colour, 0, 255)), (size, size),
            interpolation=cv2.INTER_CUBIC)
        for _ in range(rng.randint(4, 10)):
            start, end = rng.uniform(-.1, 1.1, (2, 2)) * size
            middle = (start + end) / 2 + rng.uniform(-.15, .15, 2) * size
            stroke = anatomy.curve(start, middle, end)
            cv2.polylines(self.background, [np.int32(stroke)], False,
                          self._foliage(rng),
                          rng.randint(1, 2 + self.canvas_size // 32),
                          cv2.LINE_AA)

    def _draw_occluders(self, rng: np.random.RandomState) -> None:
        self.occluders = []
        for _ in range(rng.randint(0, 4)):
            angle = rng.uniform(0, np.pi)
            along = np.array([np.cos(angle), np.sin(angle)])
            along *= rng.uniform(.08, .16) * self.canvas_size
            across = rng.uniform(.3, .5) * along[::-1] * [-1, 1]
            centre = rng.uniform(0, self.canvas_size, 2)
            leaf = anatomy.smooth([
                centre - along, centre - across, centre + along,
                centre + across
            ])
            self.occluders.append((leaf, self._foliage(rng)))

    @staticmethod
    def _foliage(rng: np.random.RandomState) -> Colour:
        return bgr(
            rng.uniform(.05, .45), rng.uniform(.2, .65), rng.uniform(.2, .75))

    def _draw_light(self, rng: np.random.RandomState) -> None:
        gain = rng.uniform(.75, 1.15) * rng.uniform(.92, 1.08, 3)
        slope = rng.uniform(-.18, .18, 2)
        ramp = np.linspace(-1, 1, self.img_size)
        gradient = 1 + slope[0] * ramp[:, None] + slope[1] * ramp
        self.light = np.float32(gradient[..., None] * gain)
        noise = rng.standard_normal((self.img_size, self.img_size, 3))
        self.noise = np.float32(rng.uniform(1, 7) * noise)

    def turn_head(self, points: np.ndarray) -> np.ndarray:
        """Turn points (N, 2) of the head about the neck."""
        cos, sin = np.cos(self.head_angle), np.sin(self.head_angle)
        turn = np.array([[cos, sin], [-sin, cos]])
        return (points - anatomy.NECK) @ turn + anatomy.NECK

    def place(self, points: np.ndarray) -> np.ndarray:
        """Carry points (N, 2) of the bird onto the canvas, in its pixels."""
        return points @ self.matrix.T + self.origin


def draw_scenes(rng: np.random.RandomState, img_size: int,
                num_birds: int) -> list[Scene]:
    """Draw the scene of one bird, or one each of two birds that are smaller
    and leave each other room; see :class:`Scene`."""
    if num_birds == 1:
        return [Scene(rng, img_size)]
    while True:
        one, other = (Scene(rng, img_size, _SIZE_OF_TWO) for _ in range(2))
        for _ in range(_MOVES):
            if not one.overlaps(other):
                return [one, other]
            one.move(rng)
            other.move(rng)


def paint(
    scenes: Sequence[Scene],
    attributes: Sequence[Sequence[bool]],
) -> tuple[np.ndarray, np.ndarray]:
    """Paint birds of given attributes, in the surroundings of the first.

    Args:
        scenes: The scene of each bird; left as they are.
        attributes: For each bird which of :data:`PARTS` are "on".

    Returns:
        The uint8 image (H, W, 3) in BGR order and for each bird the uint8
        label map, (birds, H, W): 0 off it and where something hides it,
        ``BODY_LABEL``, and ``PART_LABELS``. The map is the same for all
        attributes: a part's region covers all that the part may look like.
    """
    scene = scenes[0]
    canvas = scene.background.copy()
    brushes = [_Brush(one, canvas) for one in scenes]
    for brush in brushes:
        brush.line(anatomy.TWIG, _BARK, 5)
    for brush, on in zip(brushes, attributes):
        _paint_bird(brush, brush.scene, dict(zip(PARTS, on)))
    _paint_occluders(brushes, scene)
    image = cv2.resize(
        canvas, (scene.img_size, scene.img_size), interpolation=cv2.INTER_AREA)
    image = np.clip(image * scene.light + scene.noise, 0, 255)
    labels = [b.labels[::SUPERSAMPLING, ::SUPERSAMPLING] for b in brushes]
    return image.astype(np.uint8), np.stack(labels)


class _Brush:
    """Paints outlines of the bird on the canvas and on the label map."""

    def __init__(self, scene: Scene, canvas: np.ndarray) -> None:
        self.scene = scene
        self.canvas = canvas
        self.labels = np.zeros(self.canvas.shape[:2], np.uint8)

    def fill(self, points: np.ndarray, colour: Colour) -> None:
        cv2.fillPoly(self.canvas, self._fixed(points), colour, cv2.LINE_AA,
                     _SHIFT)

    def label(self, points: np.ndarray, label: int) -> None:
        cv2.fillPoly(self.labels, self._fixed(points), label, cv2.LINE_8,
                     _SHIFT)

    def contour(self, points: np.ndarray) -> None:
        cv2.polylines(self.canvas,
                      self._fixed(points), True, self.scene.outline,
                      self._width(2.5), cv2.LINE_AA, _SHIFT)

    def line(self, points: np.ndarray, colour: Colour, width: float) -> None:
        cv2.polylines(self.canvas, self._fixed(points), False, colour,
                      self._width(width), cv2.LINE_AA, _SHIFT)

    def dots(self, points: np.ndarray, colour: Colour, radius: float) -> None:
        radius = radius * 2**_SHIFT * self.scene.canvas_size / 192
        # OpenCV's own small circles look like crosses.
        circle = radius * anatomy.CIRCLE
        polygons = np.int32(self._fixed(points)[0][:, None] + circle)
        cv2.fillPoly(self.canvas, list(polygons), colour, cv2.LINE_AA, _SHIFT)

    def _fixed(self, points: np.ndarray) -> list[np.ndarray]:
        """Points on the canvas as OpenCV's fixed-point numbers."""
        return [np.int32(np.round(self.scene.place(points) * 2**_SHIFT))]

    def _width(self, units: float) -> int:
        return max(1, round(units * self.scene.canvas_size / 192))


def _paint_bird(brush: _Brush, scene: Scene, on: dict[str, bool]) -> None:
    head, crown, long_beak, short_beak, eye = map(
        scene.turn_head, (anatomy.HEAD, anatomy.CROWN, anatomy.BEAK_LONG,
                          anatomy.BEAK_SHORT, anatomy.EYE))
    beak = long_beak if on['beak'] else short_beak

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


def _paint_occluders(brushes: Sequence[_Brush], scene: Scene) -> None:
    """Paint the leaves that leave enough of every part to be seen."""
    least = [(1 - _MAX_HIDDEN) * _part_areas(b.labels) for b in brushes]
    for outline, colour in scene.occluders:
        left = [brush.labels.copy() for brush in brushes]
        points = [np.int32(outline)]
        for labels in left:
            cv2.fillPoly(labels, points, 0)
        if all((_part_areas(labels) >= enough).all()
               for labels, enough in zip(left, least)):
            for brush, labels in zip(brushes, left):
                brush.labels = labels
            cv2.fillPoly(brushes[0].canvas, points, colour, cv2.LINE_AA)


def _part_areas(labels: np.ndarray) -> np.ndarray:
    return np.bincount(labels.ravel(), minlength=2 + len(PARTS))[BODY_LABEL:]
