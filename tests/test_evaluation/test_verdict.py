from collections import Counter
from math import nan

import numpy as np
import pytest

from intr_mm.evaluation import verdict, wilson_interval

EVEN = dict(top1=98., even_top1=10., num_classes=10)


def deletions(value, width=2.):
    shown = dict(value=value, low=value - width, high=value + width)
    return dict(
        deletion=shown, random_deletion=dict(value=40., low=38., high=42.))


# Of the 90 % above chance, 10 % are 9 and half are 45.
@pytest.mark.parametrize('even_top1, deletion, level', [
    (18.9, {}, 'decide'),
    (19.1, {}, 'in part'),
    (54.9, {}, 'in part'),
    (55.1, {}, 'not'),
    (4., {}, 'decide'),
    (18.9, deletions(13.9), 'decide'),
    (18.9, deletions(37.), 'in part'),
    (18.9, deletions(41.), 'unknown'),
    (18.9, deletions(45.), 'not'),
    (18.9, deletions(13.9, nan), 'in part'),
    (54.9, deletions(13.9), 'in part'),
    (55.1, deletions(13.9), 'not'),
    (nan, deletions(13.9), 'unknown'),
    (None, deletions(41.), 'unknown'),
    (None, deletions(45.), 'not'),
    (18.9, deletions(nan), 'decide'),
])
def test_levels(even_top1, deletion, level):
    figures = dict(top1=100., even_top1=even_top1, num_classes=10, **deletion)
    assert verdict(**figures).level == level


def test_what_guesses_decides_nothing():
    assert verdict(top1=9., even_top1=9., num_classes=10).level == 'unknown'
    assert verdict(top1=9., even_top1=9.).level == 'unknown'
    # of photos of one class, a constant prediction is always right
    assert verdict(top1=100., even_top1=100., guess=100.).level == 'unknown'
    assert verdict(same=100., guess=100.).level == 'unknown'
    assert verdict(same=60., guess=50.).level == 'in part'
    assert verdict(same=60., num_classes=10).level == 'not'


def test_few_images_tell_nothing():
    """Where they are drawn from those of which 45 % keep their prediction."""
    rng = np.random.default_rng(0)
    for number in (2, 4, 8, 16, 100, 300):
        levels = Counter(
            verdict(
                top1=99.,
                even_top1=100 * (rng.random(number) < .45).mean(),
                num_classes=12,
                guess=max(100 / 12, 100 / number),
                num_images=number).level for _ in range(500))
        assert levels['decide'] <= 5, number
        assert number > 100 or levels['not'] <= 75, number
        assert number < 100 or levels['in part'] > 400, number


def test_the_sentence_holds_the_figures():
    figures = dict(top1=98.8, even_top1=51.84, num_classes=12)
    assert verdict(**figures).sentence == (
        'The maps shown decide in part: with even attention in their place '
        '51.8 of 98.8 % top-1 remain (chance 8.3).')
    figures.update(even_top1=60., margin=31.2)
    assert verdict(**figures, **deletions(13.9)).sentence == (
        'The maps shown do not decide: with even attention in their place '
        '60.0 of 98.8 % top-1 remain (chance 8.3); they account for 31 % '
        'of the margin; deleting where they point leaves a mean score of '
        '13.9 % where chance leaves 40.0.')


def test_of_missing_figures_nothing_is_said():
    plain = verdict(**EVEN)
    assert plain.sentence.startswith('The maps shown decide: with even')
    assert verdict(**EVEN, margin=nan, **deletions(nan)) == plain
    assert verdict() == ('unknown',
                         'Whether the maps shown decide is not known.')
    assert verdict(margin=30.).sentence == (
        'Whether the maps shown decide is not known: they account for 30 % of '
        'the margin.')


def test_wilson_interval():
    # centre (2 + z^2 / 2) / (6 + z^2), z = 1.96
    assert wilson_interval(1 / 3, 6) == pytest.approx((.0968, .7000), abs=1e-4)
    assert wilson_interval(0, 10) == pytest.approx((0, .2775), abs=1e-4)
    assert wilson_interval(1, 10) == pytest.approx((.7225, 1), abs=1e-4)
    assert wilson_interval(0, 0) == (0, 1)
