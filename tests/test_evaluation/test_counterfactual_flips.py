import math

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from intr_mm.evaluation import CounterfactualFlips


def make_pair(pair_id, original, repainted):
    """Two samples from (label, prediction) of each version."""
    samples = []
    for version, (label, prediction) in enumerate((original, repainted)):
        sample = DataSample().set_gt_label(label).set_pred_label(prediction)
        sample.set_metainfo(dict(pair_id=pair_id, repainted=bool(version)))
        samples.append(sample)
    return samples


def evaluate(samples, size=None):
    evaluator = Evaluator([CounterfactualFlips()])
    evaluator.process(samples)
    return evaluator.evaluate(size or len(samples))


PAIRS = [
    *make_pair(0, (3, 3), (4, 4)),  # flips
    *make_pair(1, (3, 3), (4, 3)),  # stays
    *make_pair(2, (3, 3), (4, 2)),  # changes, but not to the neighbour
    *make_pair(3, (3, 2), (4, 4)),  # original wrong: not counted
    *make_pair(4, (0, 0), (11, 11)),  # flips
]


def test_only_flips_to_the_neighbour_count_and_only_of_correct_originals():
    metrics = evaluate(PAIRS)
    assert metrics['counterfactual/flips'] == 50
    assert metrics['counterfactual/counted'] == 4


def test_order_and_repetition_do_not_matter():
    mixed = PAIRS[1::2] + PAIRS[::2]
    assert evaluate(mixed + mixed[:2], size=len(PAIRS)) == evaluate(PAIRS)


@pytest.mark.parametrize(
    'repainted',
    [
        (4, 3),  # with another result
        (2, 2),  # of another label
    ])
def test_pairs_of_two_data_sets_are_refused(repainted):
    other = make_pair(0, (3, 3), repainted)
    with pytest.raises(ValueError, match='two pairs 0 that differ.*one by on'):
        evaluate(PAIRS + other)
    assert evaluate(PAIRS + PAIRS[:2]) == evaluate(PAIRS)


def test_no_correct_original_is_not_a_number():
    metrics = evaluate(make_pair(0, (3, 2), (4, 4)))
    assert math.isnan(metrics['counterfactual/flips'])
    assert metrics['counterfactual/counted'] == 0


def test_missing_partner_or_keys_are_named():
    with pytest.raises(ValueError, match='one version of pair 4 alone'):
        evaluate(PAIRS[:-1])
    sample = DataSample().set_gt_label(0).set_pred_label(0)
    with pytest.raises(ValueError, match="no 'pair_id'.*meta_keys"):
        evaluate([sample])


def looking(sample, peak, telling, true_class):
    """Attach attention that peaks on a cell, and a mask of two parts."""
    attention = torch.zeros(1, 2, 3, 3)
    if peak is not None:
        attention[0, 0][peak] = 1
    sample.set_field(attention, 'attention')
    sample.set_field(torch.tensor([true_class]), 'attention_classes')
    mask = np.zeros((12, 12), np.uint8)
    mask[4, 8], mask[8, 0] = 5, 6
    sample.set_metainfo(
        dict(part_mask=mask, telling_parts=telling, img_shape=(12, 12)))


def test_pointing_is_at_the_part_that_is_repainted():
    """The pair differs in part 5; three originals count."""
    pairs = [make_pair(i, (3, 3), (4, 4)) for i in range(3)]
    pairs.append(make_pair(3, (3, 2), (4, 4)))
    # on part 5, on the other telling part, beside both, and not counted
    for (original, repainted), peak in zip(pairs, [(1, 2), (2, 0), (0, 0),
                                                   (1, 2)]):
        looking(original, peak, (5, 6), 3)
        looking(repainted, (0, 0), (7, 5), 4)
    evaluator = Evaluator([CounterfactualFlips(stride=4)])
    samples = [sample for pair in pairs for sample in pair]
    evaluator.process(samples)
    metrics = evaluator.evaluate(len(samples))
    assert metrics['counterfactual/pointing'] == pytest.approx(100 / 3)
    assert metrics['counterfactual/flips'] == 100
    assert metrics['counterfactual/counted'] == 3


def test_a_flat_map_points_by_the_share_of_its_cells():
    original, repainted = make_pair(0, (3, 3), (4, 4))
    looking(original, None, (5, 6), 3)
    looking(repainted, None, (7, 5), 4)
    evaluator = Evaluator([CounterfactualFlips(stride=4)])
    evaluator.process([original, repainted])
    pointing = evaluator.evaluate(2)['counterfactual/pointing']
    assert pointing == pytest.approx(100 / 9)


def test_a_flipped_image_is_refused_where_its_mask_is_used():
    samples = make_pair(0, (3, 3), (4, 4))
    for sample in samples:
        looking(sample, (0, 0), (5, 6), int(sample.gt_label))
        sample.set_metainfo(dict(flip=True, img_path='a.jpg'))
    assert evaluate(samples)['counterfactual/flips'] == 100
    evaluator = Evaluator([CounterfactualFlips(stride=4)])
    with pytest.raises(ValueError, match="'a.jpg' flipped.*'part_mask' lies"):
        evaluator.process(samples)
