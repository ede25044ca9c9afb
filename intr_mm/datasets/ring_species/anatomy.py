"""The twelve invented species of RingSpecies, and the outlines of a bird.

Species ``k < 6`` has the first ``k`` parts "on"; species ``6 + k`` is its
complement. Going round the ring therefore switches one part at a time: two
neighbours differ in exactly one part, all other pairs in at least two, and
the two parts in which a species differs from its neighbours identify it.

The bird faces right, in units of about 1/90 of its length. x grows to the
right and y downwards, as in images; the origin lies in the body. Outlines of
the head are given in the pose in which it looks ahead.
"""
import numpy as np
from numpy.typing import ArrayLike

PARTS = ('crown', 'beak', 'collar', 'breast', 'wing', 'tail')

SPECIES = ('Alder Finch', 'Bramble Wren', 'Cinder Lark', 'Dusk Warbler',
           'Ember Thrush', 'Frost Bunting', 'Gorse Pipit', 'Harbour Siskin',
           'Iris Chat', 'Juniper Linnet', 'Kelp Sparrow', 'Lantern Oriole')


def attributes_of(species: int) -> tuple[bool, ...]:
    """Tell which parts of a species are "on".

    Args:
        species: Place on the ring, 0 to 11.

    Returns:
        One value for each of :data:`PARTS`.
    """
    complement, num_on = divmod(species, len(PARTS))
    return tuple(
        (part < num_on) != bool(complement) for part in range(len(PARTS)))


def telling_parts_of(species: int) -> tuple[int, int]:
    """Tell which two parts set a species apart from its neighbours.

    Args:
        species: Place on the ring, 0 to 11.

    Returns:
        Indices into :data:`PARTS`: the part that differs from the
        previous species, then the one that differs from the next.
    """
    return ((species - 1) % len(PARTS), species % len(PARTS))


def differing_parts_of(species: int, other: int) -> tuple[int, ...]:
    """Tell in which parts two species differ.

    Args:
        species: Place on the ring, 0 to 11.
        other: The same.

    Returns:
        Indices into :data:`PARTS`.
    """
    pairs = zip(attributes_of(species), attributes_of(other))
    return tuple(part for part, (a, b) in enumerate(pairs) if a != b)


def smooth(points: ArrayLike, rounds: int = 3) -> np.ndarray:
    """Round the corners of a polygon (N, 2) by Chaikin's corner cutting.

    Returns:
        The closed polygon (2**rounds * N, 2).
    """
    points = np.asarray(points, dtype=np.float64)
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0)
        cut = np.stack(
            [.75 * points + .25 * following, .25 * points + .75 * following],
            axis=1)
        points = cut.reshape(-1, 2)
    return points


def curve(start: np.ndarray, middle: np.ndarray,
          end: np.ndarray) -> np.ndarray:
    """Bend a line into a quadratic Bezier curve of 9 points."""
    t = np.linspace(0, 1, 9)[:, None]
    return (1 - t)**2 * start + 2 * t * (1 - t) * middle + t**2 * end


def _strip(start: ArrayLike, end: ArrayLike,
           spans: list[tuple[float, float]]) -> list[np.ndarray]:
    """Cut cross bands out of a strip between two edges of two points."""
    start, end = np.asarray(start, float), np.asarray(end, float)

    def edge(t: float) -> np.ndarray:
        return start + t * (end - start)

    return [np.concatenate([edge(a), edge(b)[::-1]]) for a, b in spans]


NECK = np.array([17., -11.])

BODY = smooth([(10, -21), (-10, -16), (-27, -6), (-27, 4), (-14, 15), (4, 20),
               (20, 15), (28, 2), (30, -16)])
HEAD = smooth([(8, -22), (11, -32), (21, -35), (31, -31), (34, -22), (31, -13),
               (21, -9), (11, -12)])
CROWN = smooth([(34, -25), (31, -36), (20, -40), (1, -42), (7, -33), (6, -21),
                (14, -22), (24, -27)],
               rounds=2)
EYE = np.array([[26.5, -22.5]])
BEAK_SHORT = np.array([(31, -24.5), (41, -18.5), (31, -15.)])
BEAK_LONG = smooth([(30, -26), (38, -26), (48, -20), (51, -6), (47, -8),
                    (42, -14), (31, -14)],
                   rounds=2)
COLLAR = smooth([(6, -18), (13, -13), (22, -10), (32, -13), (34, -6), (23, -1),
                 (11, -4), (2, -12)],
                rounds=2)
BREAST = smooth([(9, -2), (22, 0), (31, -6), (29, 4), (20, 15), (8, 18),
                 (3, 12)],
                rounds=2)
CIRCLE = np.stack(
    [np.cos(np.arange(12) * np.pi / 6),
     np.sin(np.arange(12) * np.pi / 6)],
    axis=1)
SPOTS = np.array([(12, 3), (19, 4), (26, 0), (15, 9), (23, 8), (8, 8),
                  (11, 14), (18, 14)],
                 dtype=float)
WING = smooth([(8, -13), (9, -2), (-3, 8), (-19, 9), (-33, 7), (-23, -4),
               (-8, -15)],
              rounds=3)
WING_BARS = [
    np.array([(-1., -12), (3, -12), (0, 5), (-5, 6)]),
    np.array([(-11., -10), (-7, -12), (-12, 7), (-17, 7)])
]
_TAIL_EDGES = ((-20, -9), (-22, 3)), ((-50, 6), (-44, 17))
TAIL, = _strip(*_TAIL_EDGES, [(0, 1)])
TAIL_BANDS = _strip(*_TAIL_EDGES, [(.42, .60), (.74, .92)])
LEGS = [
    np.array([(-1., 17), (-2, 26), (3, 28)]),
    np.array([(8., 16), (8, 26), (13, 28)])
]
TWIG = np.array([(-60., 31), (-20, 28), (15, 29), (60, 26)])
