import math

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from intr_mm.evaluation import HeadDiversity


def make_sample(*maps, gt=1, pred=0):
    """A sample whose true class has these maps; the other looks evenly."""
    maps = torch.tensor(maps, dtype=torch.float)[:, None]
    even = torch.full_like(maps, 1 / maps.size(-1))
    sample = DataSample().set_gt_label(gt).set_pred_label(pred)
    sample.attention = torch.stack((even, maps))
    sample.attention_classes = torch.tensor([0, 1])
    return sample


def evaluate(samples, size=None, **kwargs):
    evaluator = Evaluator([HeadDiversity(**kwargs)])
    evaluator.process(samples)
    metrics = evaluator.evaluate(size or len(samples))
    return {name.split('/')[1]: value for name, value in metrics.items()}


def test_entropy_and_effective_cells_by_hand():
    sharp, half, even = [0, 1, 0, 0], [.5, .5, 0, 0], [.25] * 4
    figures = evaluate([make_sample(sharp, half, even)])
    for head, percent, cells in ((0, 0, 1), (1, 50, 2), (2, 100, 4)):
        assert figures[f'head{head}_entropy'] == pytest.approx(percent)
        assert figures[f'head{head}_effective_cells'] == pytest.approx(cells)
    assert figures['entropy'] == pytest.approx(50)
    assert figures['effective_cells'] == pytest.approx(7 / 3)


def test_diversity_by_hand():
    one, other, half = [1, 0, 0, 0], [0, 1, 0, 0], [.5, .5, 0, 0]
    assert evaluate([make_sample(one, other)])['diversity'] == 100
    assert evaluate([make_sample(half, half)])['diversity'] == 0
    # The mean of (1, 0) and (1/2, 1/2) is (3/4, 1/4), of which the divergence
    # is H(3/4, 1/4) - (0 + 1) / 2 bits.
    between = -.75 * math.log2(.75) + .25 * 2 - .5
    figures = evaluate([make_sample(one, other, half)])
    assert figures['diversity'] == pytest.approx(100 * (1 + 2 * between) / 3)


def test_only_where_heads_look_counts_not_how_much_they_find():
    sharp, half = [0, 1, 0, 0], [.5, .5, 0, 0]
    faint = [[.3 * v for v in sharp], [1e-6 * v for v in half]]
    assert evaluate([make_sample(*faint)
                     ]) == pytest.approx(evaluate([make_sample(sharp, half)]))


def test_a_head_that_finds_nothing_counts_as_even():
    nothing, half = [0.] * 4, [.5, .5, 0, 0]
    assert evaluate([make_sample(nothing, half)]) == pytest.approx(
        evaluate([make_sample([.25] * 4, half)]))


def test_grids_may_differ_and_repeated_samples_count_once():
    samples = [
        make_sample([1, 0], [.5, .5]),
        make_sample([.5, .5, 0, 0], [.25] * 4)
    ]
    figures = evaluate(samples + samples[:1], size=2)
    assert figures['head0_entropy'] == pytest.approx(25)
    assert figures['head1_entropy'] == pytest.approx(100)


def test_an_only_head_has_no_diversity():
    figures = evaluate([make_sample([.5, .5])])
    assert math.isnan(figures['diversity'])
    assert figures['entropy'] == pytest.approx(100)


def test_predicted_class_can_be_asked_about():
    figures = evaluate([make_sample([1, 0], [0, 1])], label='pred')
    assert figures['entropy'] == pytest.approx(100)


def test_missing_inputs_are_named():
    sample = make_sample([1, 0])
    with pytest.raises(ValueError, match="predicted class 3.*add 'pred'"):
        evaluate([sample.set_pred_label(3)], label='pred')
    with pytest.raises(ValueError, match="label='all'"):
        HeadDiversity(label='all')
    del sample.attention
    with pytest.raises(
            ValueError, match="HeadDiversity finds no 'attention'.*test_cfg"):
        evaluate([sample])
