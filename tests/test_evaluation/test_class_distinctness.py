import math

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from intr_mm.evaluation import ClassDistinctness

LEFT, RIGHT, EVEN = [1., 0], [0, 1.], [.5, .5]
# Of (1, 0) and (1/2, 1/2): H(3/4, 1/4) - 1/2 bits.
PART = 100 * (-.75 * math.log2(.75) + .25 * 2 - .5)


def make_sample(maps, gt=1):
    """A sample of maps by class, [(class, [map of each head])]."""
    classes, maps = zip(*maps)
    sample = DataSample().set_gt_label(gt)
    sample.attention = torch.tensor(maps).unsqueeze(2)
    sample.attention_classes = torch.tensor(classes)
    return sample


def evaluate(samples, size=None):
    evaluator = Evaluator([ClassDistinctness()])
    evaluator.process(samples)
    metrics = evaluator.evaluate(size or len(samples))
    return {name.split('/')[1]: value for name, value in metrics.items()}


def test_divergences_by_hand():
    figures = evaluate([make_sample([(1, [LEFT]), (0, [RIGHT]), (2, [EVEN])])])
    both = pytest.approx((100 + PART) / 2)
    assert figures == dict(
        mean_map=both, each_head=both, closest=pytest.approx(PART))


def test_heads_can_differ_where_their_means_do_not():
    sample = make_sample([(1, [LEFT, RIGHT]), (0, [RIGHT, LEFT])])
    assert evaluate([sample]) == dict(mean_map=0, each_head=100, closest=0)


def test_only_where_classes_look_counts_not_how_much_they_find():
    half, faint = [.5, 0], [0, .01]
    assert evaluate([make_sample([(1, [half]), (0, [faint])])
                     ]) == evaluate([make_sample([(1, [LEFT]), (0, [RIGHT])])])
    nothing = make_sample([(1, [[0., 0]]), (0, [LEFT])])
    assert evaluate([nothing])['mean_map'] == pytest.approx(PART)


def test_classes_attached_twice_count_once():
    maps = [(1, [LEFT]), (0, [RIGHT]), (2, [EVEN])]
    twice = [(0, [RIGHT]), (1, [LEFT]), *maps]
    assert evaluate([make_sample(twice)
                     ]) == pytest.approx(evaluate([make_sample(maps)]))


def test_mean_over_images_and_repeated_samples_count_once():
    samples = [
        make_sample([(1, [LEFT]), (0, [RIGHT])]),
        make_sample([(1, [LEFT]), (0, [LEFT])])
    ]
    assert evaluate(samples + samples[:1], size=2)['mean_map'] == 50


def test_missing_maps_are_named():
    with pytest.raises(ValueError, match="true class 1 alone.*'gt', 'top5'"):
        evaluate([make_sample([(1, [LEFT]), (1, [LEFT])])])
    with pytest.raises(
            ValueError, match='ClassDistinctness needs .* true class 5'):
        evaluate([make_sample([(1, [LEFT]), (0, [LEFT])], gt=5)])
