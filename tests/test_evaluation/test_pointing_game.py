import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from intr_mm.evaluation import PointingGame


def make_sample(peak, mask, cells=(3, 3), gt=1, classes=(0, 1), **metainfo):
    """A sample whose true class peaks at a cell, and others elsewhere."""
    attention = torch.zeros(len(classes), 2, *cells)
    attention[:, :, -1, -1] = .3
    if gt in classes:
        true_map = attention[classes.index(gt)]
        true_map[:] = 0
        # One head alone peaks elsewhere: their mean decides.
        true_map[0, 0, 0] = .5
        true_map[:, peak[0], peak[1]] = .4
    sample = DataSample().set_gt_label(gt)
    sample.attention = attention
    sample.attention_classes = torch.tensor(classes)
    sample.set_metainfo(
        dict(
            img_shape=mask.shape,
            part_mask=mask,
            telling_parts=(3, ),
            **metainfo))
    return sample


def evaluate(samples, **kwargs):
    evaluator = Evaluator([PointingGame(stride=4, **kwargs)])
    evaluator.process(samples)
    return evaluator.evaluate(len(samples))


def mask_at(row, column, value=3, size=12):
    mask = np.zeros((size, size), np.uint8)
    mask[row, column] = value
    return mask


@pytest.mark.parametrize('offset, pixel', [(0, (4, 8)), (1.5, (6, 10))])
def test_a_peak_hits_the_pixel_on_which_its_cell_is_centred(offset, pixel):
    hit = make_sample((1, 2), mask_at(*pixel))
    assert evaluate([hit], offset=offset)['pointing/telling'] == 100
    for wrong in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        mask = mask_at(pixel[0] + wrong[0], pixel[1] + wrong[1])
        miss = make_sample((1, 2), mask)
        assert evaluate([miss], offset=offset)['pointing/telling'] == 0


def test_bird_is_the_whole_mask_and_telling_the_telling_values():
    samples = [
        make_sample((1, 1), mask_at(4, 4, value)) for value in (0, 1, 3)
    ]
    metrics = evaluate(samples)
    assert metrics['pointing/bird'] == pytest.approx(200 / 3)
    assert metrics['pointing/telling'] == pytest.approx(100 / 3)
    assert metrics['pointing/bird_area'] == pytest.approx(100 * 2 / 3 / 144)
    assert metrics['pointing/telling_area'] == pytest.approx(100 / 3 / 144)


def test_differing_is_where_the_best_rival_differs():
    # of the classes 0, 1, the true one, and 2
    differing = ((4, ), (), (2, 3))
    for scores, hit in (((.1, .6, .3), True), ((.1, .2, .7), True),
                        ((.3, .6, .1), False)):
        sample = make_sample((1, 1), mask_at(4, 4), differing=differing)
        sample.set_pred_score(torch.tensor(scores))
        metrics = evaluate([sample], differing_key='differing')
        assert metrics['pointing/differing'] == 100 * hit
        assert metrics['pointing/telling'] == 100
    assert 'pointing/differing' not in evaluate([sample])
    with pytest.raises(ValueError, match="no 'elsewhere'.*meta_keys"):
        evaluate([sample], differing_key='elsewhere')


def test_shuffled_control_is_the_mean_over_all_other_images():
    rng = np.random.RandomState(0)
    masks = rng.choice([0, 1, 3], (6, 12, 12)).astype(np.uint8)
    peaks = rng.randint(1, 3, (6, 2))
    metrics = evaluate([make_sample(*pair) for pair in zip(peaks, masks)])
    for name, hits in (('bird', masks != 0), ('telling', masks == 3)):
        others = [
            hits[i][tuple(4 * peaks[j])] for i in range(6) for j in range(6)
            if i != j
        ]
        assert metrics[f'pointing/{name}_shuffled'] == pytest.approx(
            100 * np.mean(others))


def test_shuffled_control_compares_relative_positions_across_sizes():
    large = mask_at(8, 8, size=24)
    samples = [
        make_sample((1, 1), mask_at(4, 4)),
        make_sample((2, 2), large, cells=(6, 6)),
    ]
    # (2 + .5) / 6 of the large map lies in cell 1 of 3, the hit; cell 1 of 3
    # lies at (1 + .5) / 3, cell 3 of 6, a miss.
    assert evaluate(samples)['pointing/bird_shuffled'] == 50


def test_a_mask_of_the_original_size_covers_the_resized_input():
    # Input pixel 4 lies between pixels 8 and 9 of the original.
    right, wrong = np.zeros((2, 24, 24), np.uint8)
    right[8:10, 8:10] = 3
    wrong[4, 4] = 3
    for mask, rate in ((right, 100), (wrong, 0)):
        sample = make_sample((1, 1), mask)
        sample.set_metainfo(dict(img_shape=(12, 12)))
        assert evaluate([sample])['pointing/telling'] == rate


def test_one_image_has_no_shuffled_control():
    metrics = evaluate([make_sample((1, 1), mask_at(4, 4))])
    assert np.isnan(metrics['pointing/bird_shuffled'])


def test_repeated_samples_of_a_distributed_run_count_once():
    samples = [
        make_sample((1, 1), mask_at(4, 4)),
        make_sample((1, 1), mask_at(0, 0)),
    ]
    evaluator = Evaluator([PointingGame(stride=4)])
    evaluator.process(samples + samples[:1])
    assert evaluator.evaluate(2)['pointing/bird'] == 50


def test_each_true_class_is_a_sample_of_its_own():
    """One class peaks on its own bird, one on the other's."""
    own, other = mask_at(4, 4), mask_at(8, 8, 1)
    sample = make_sample((1, 1), own, classes=(0, 1, 2))
    sample.set_gt_label([1, 2])  # the map of class 2 peaks at (8, 8)
    sample.set_pred_score(torch.tensor([.4, .9, .8]))
    sample.set_metainfo(
        dict(
            multi_label=True,
            part_mask=np.stack((own, other)),
            telling_parts=((3, ), (3, )),
            differing=(((3, ), (), ()), ((5, ), (), ()))))
    figures = evaluate([sample], differing_key='differing')
    assert figures['pointing/bird'] == 100
    assert figures['pointing/other'] == 0
    assert figures['pointing/telling'] == 50
    assert figures['pointing/differing'] == 50  # from class 0, which is absent
    assert figures['pointing/other_area'] == pytest.approx(100 / 144)

    swapped = np.stack((other, own))
    sample.set_metainfo(dict(part_mask=swapped))
    figures = evaluate([sample])
    assert figures['pointing/bird'] == 0 and figures['pointing/other'] == 100


def test_images_without_a_true_class_count_for_nothing():
    sample = make_sample((1, 1), mask_at(4, 4))
    empty = make_sample((1, 1), np.zeros((0, 12, 12)))
    empty.set_gt_label([])
    assert evaluate([empty, sample])['pointing/bird'] == 100
    with pytest.raises(ValueError, match='no true class in any image'):
        evaluate([empty])


def test_a_flipped_image_is_refused():
    """The mask is that of the image before the flip."""
    kept = make_sample((1, 1), mask_at(4, 4), flip=False)
    assert evaluate([kept])['pointing/bird'] == 100
    flipped = make_sample((1, 1), mask_at(4, 4), flip=True, img_path='a.jpg')
    with pytest.raises(ValueError, match="PointingGame got 'a.jpg' flipped"):
        evaluate([flipped])


def test_missing_inputs_are_named():
    sample = make_sample((1, 1), mask_at(4, 4))
    del sample.attention
    with pytest.raises(ValueError, match="no 'attention'.*test_cfg"):
        evaluate([sample])
    with pytest.raises(ValueError, match='true class 1.*those of .0, 2.'):
        evaluate([make_sample((1, 1), mask_at(4, 4), classes=(0, 2))])
