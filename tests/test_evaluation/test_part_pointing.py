import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from intr_mm.evaluation import PartPointing


def make_sample(peak,
                points,
                bbox=(0, 0, 20, 10),
                cells=(3, 3),
                img_shape=(12, 12),
                ori_shape=None,
                **metainfo):
    """A sample of class 1 whose map peaks at a cell."""
    attention = torch.zeros(2, 2, *cells)
    attention[0, :, 0, -1] = 1
    attention[1, :, peak[0], peak[1]] = 1
    sample = DataSample().set_gt_label(1)
    sample.attention = attention
    sample.attention_classes = torch.tensor([0, 1])
    ori_shape = ori_shape or img_shape
    sample.set_metainfo(
        dict(
            img_path='bird.jpg',
            img_shape=img_shape,
            ori_shape=ori_shape,
            scale_factor=(img_shape[1] / ori_shape[1],
                          img_shape[0] / ori_shape[0]),
            part_points=np.array(points, np.float32).reshape(-1, 2),
            bbox=np.array(bbox, np.float32),
            **metainfo))
    return sample


def evaluate(samples, **kwargs):
    evaluator = Evaluator([PartPointing(stride=4, **kwargs)])
    evaluator.process(samples)
    metrics = evaluator.evaluate(len(samples))
    return {name.split('/')[1]: value for name, value in metrics.items()}


@pytest.mark.parametrize('offset, pixel', [(0, (4, 8)), (1.5, (6, 10))])
def test_a_peak_hits_within_the_radius_of_a_part(offset, pixel):
    # Cell (1, 2) peaks on the centre of pixel (y, x); the radius is 2.
    y, x = pixel[0] + .5, pixel[1] + .5
    far = (0, 0)
    for point, rate in [((x, y), 100), ((x - 1.9, y), 100),
                        ((x, y - 1.9), 100), ((x - 2.1, y), 0),
                        ((x - 1.5, y - 1.5), 0)]:
        sample = make_sample((1, 2), [far, point])
        assert evaluate([sample], offset=offset)['part'] == rate
    near = make_sample((1, 2), [(x - 1.9, y)])
    assert evaluate([near], offset=offset, alpha=.09)['part'] == 0


def test_box_takes_the_centres_of_pixels():
    # Cell (1, 2) peaks on (4.5, 8.5).
    for bbox, rate in [((8, 4, 9, 5), 100), ((8.6, 4, 12, 5), 0),
                       ((0, 4, 8.4, 5), 0), ((0, 4.6, 12, 12), 0),
                       ((0, 0, 12, 4.4), 0)]:
        assert evaluate([make_sample((1, 2), [], bbox)])['box'] == rate


def test_an_image_without_visible_parts_is_a_miss():
    samples = [make_sample((1, 2), [(8.5, 4.5)]), make_sample((1, 2), [])]
    metrics = evaluate(samples)
    assert metrics['part'] == 50
    alone = evaluate(samples[:1])
    assert metrics['part_area'] == pytest.approx(alone['part_area'] / 2)


def test_peaks_are_scaled_to_the_original_image_side_by_side():
    """Input of 12 x 16 pixels of an original of 36 x 32."""
    # Cell (2, 1) peaks on pixel (8, 4) of the input, whose centre lies at
    # y = 8.5 * 3 and x = 4.5 * 2; y 25.5 is the centre of pixel 25, x 9 the
    # border of two pixels.
    for point, rate in [((9, 25.5), 100), ((9, 28), 0), ((12, 25.5), 0),
                        ((25.5, 9), 0), ((4.5, 8.5), 0)]:
        sample = make_sample((2, 1), [point],
                             cells=(3, 4),
                             img_shape=(12, 16),
                             ori_shape=(36, 32))
        assert evaluate([sample])['part'] == rate


def test_area_is_the_share_of_pixels_that_would_hit():
    rng = np.random.RandomState(0)
    points, bbox = rng.rand(5, 2) * (30, 40), (3, 5, 24.7, 31)
    sample = make_sample((0, 0), points, bbox, img_shape=(40, 30))
    radius = .1 * 26
    part = box = 0
    for row in range(40):
        for column in range(30):
            y, x = row + .5, column + .5
            part += any(
                np.hypot(x - px, y - py) <= radius for px, py in points)
            box += 3 <= x < 24.7 and 5 <= y < 31
    metrics = evaluate([sample])
    assert metrics['part_area'] == pytest.approx(100 * part / 1200)
    assert metrics['box_area'] == pytest.approx(100 * box / 1200)


def test_shuffled_control_is_the_mean_over_all_other_images():
    rng = np.random.RandomState(0)
    peaks = rng.randint(0, 6, (8, 2))
    points = rng.rand(8, 3, 2) * 24
    boxes = np.concatenate((rng.rand(8, 2) * 8, 12 + rng.rand(8, 2) * 12), 1)
    samples = [
        make_sample(peak, point, box, cells=(6, 6), img_shape=(24, 24))
        for peak, point, box in zip(peaks, points, boxes)
    ]
    part, in_box = [], []
    for i in range(8):
        for y, x in (4 * peaks + .5)[np.arange(8) != i]:
            x1, y1, x2, y2 = boxes[i]
            distance = np.hypot(points[i][:, 0] - x, points[i][:, 1] - y)
            part.append(distance.min() <= .1 * max(x2 - x1, y2 - y1))
            in_box.append(x1 <= x < x2 and y1 <= y < y2)
    metrics = evaluate(samples)
    assert 0 < np.mean(part) < np.mean(in_box) < 1
    assert metrics['part_shuffled'] == pytest.approx(100 * np.mean(part))
    assert metrics['box_shuffled'] == pytest.approx(100 * np.mean(in_box))
    assert np.isnan(evaluate(samples[:1])['part_shuffled'])


def test_repeated_samples_of_a_distributed_run_count_once():
    samples = [make_sample((1, 2), [(8.5, 4.5)]), make_sample((1, 2), [])]
    evaluator = Evaluator([PartPointing(stride=4)])
    evaluator.process(samples + samples[:1])
    assert evaluator.evaluate(2)['part_pointing/part'] == 50


def test_flipped_or_cropped_images_are_refused():
    flipped = make_sample((1, 2), [], flip=True)
    cropped = make_sample((1, 2), [], ori_shape=(24, 24))
    cropped.set_metainfo(dict(scale_factor=(.75, .75)))
    for sample in (flipped, cropped):
        with pytest.raises(ValueError, match="'bird.jpg' of .* flipped, or"):
            evaluate([sample])


def test_missing_inputs_are_named():
    for key in ('attention', 'bbox', 'part_points'):
        sample = make_sample((1, 2), [])
        delattr(sample, key)
        with pytest.raises(
                ValueError, match=f"no '{key}'.*'gt'.*part_points.*meta_keys"):
            evaluate([sample])
    sample = make_sample((1, 2), [])
    sample.attention_classes = torch.tensor([0, 2])
    with pytest.raises(ValueError, match='PartPointing.*true class 1'):
        evaluate([sample])
