"""All that is left to chance in a picture: everything but the species."""
import colorsys

import cv2
import numpy as np

from . import anatomy

# Pictures are drawn twice as large and averaged down: smooth edges at 96 px.
SUPERSAMPLING = 2


def bgr(hue, saturation, value):
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
    """

    def __init__(self, rng, img_size):
        self.img_size = img_size
        self.canvas_size = SUPERSAMPLING * img_size
        self._draw_pose(rng)
        self._draw_colours(rng)
        self._draw_background(rng)
        self._draw_occluders(rng)
        self._draw_light(rng)

    def _draw_pose(self, rng):
        scale = self.canvas_size / 96 * rng.uniform(.64, .82)
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
        low, high = -bird.min(0), self.canvas_size - 1 - bird.max(0)
        self.origin = low + rng.uniform(.02, .98, 2) * (high - low)

    def _draw_colours(self, rng):
        hue = rng.uniform()
        saturation, value = rng.uniform(.15, .5), rng.uniform(.5, .75)
        self.plumage = bgr(hue, saturation, value)
        self.dark_plumage = bgr(hue, saturation, .62 * value)
        self.outline = bgr(hue, saturation, .35 * value)
        self.spots = anatomy.SPOTS + rng.uniform(-.8, .8, anatomy.SPOTS.shape)

    def _draw_background(self, rng):
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

    def _draw_occluders(self, rng):
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
    def _foliage(rng):
        return bgr(
            rng.uniform(.05, .45), rng.uniform(.2, .65), rng.uniform(.2, .75))

    def _draw_light(self, rng):
        gain = rng.uniform(.75, 1.15) * rng.uniform(.92, 1.08, 3)
        slope = rng.uniform(-.18, .18, 2)
        ramp = np.linspace(-1, 1, self.img_size)
        gradient = 1 + slope[0] * ramp[:, None] + slope[1] * ramp
        self.light = np.float32(gradient[..., None] * gain)
        noise = rng.standard_normal((self.img_size, self.img_size, 3))
        self.noise = np.float32(rng.uniform(1, 7) * noise)

    def turn_head(self, points):
        """Turn points of the head about the neck."""
        cos, sin = np.cos(self.head_angle), np.sin(self.head_angle)
        turn = np.array([[cos, sin], [-sin, cos]])
        return (points - anatomy.NECK) @ turn + anatomy.NECK

    def place(self, points):
        """Carry points of the bird onto the canvas."""
        return points @ self.matrix.T + self.origin
