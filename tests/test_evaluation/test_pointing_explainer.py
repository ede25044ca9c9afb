"""Maps of explainers, their mass, and what all pointing metrics share."""
import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.registry import TASK_UTILS
from mmpretrain.structures import DataSample

from intr_mm.evaluation import PartPointing, PointingGame
from intr_mm.explainers import BaseExplainer
from intr_mm.structures import CellGeometry, Explanation, infer_cell_geometry
from ..tiny import LARGER, tiny_batch, tiny_model


@TASK_UTILS.register_module()
class FixedExplainer(BaseExplainer):
    """Gives the images' first channels, and their negatives if there are two
    names, where the class is 1; else nothing."""

    def __init__(self, names=('fixed', ), stride=1, offset=0):
        self.map_names, self.geometry = list(names), CellGeometry(
            stride, offset)

    def names(self, model):
        return self.map_names

    def __call__(self, model, inputs, classes):
        assert model == 'model'
        signs = np.array([1, -1])[:len(self.map_names), None, None]
        return [
            Explanation(
                signs * (cls == 1).numpy() * image[0].numpy(), self.geometry,
                tuple(n * self.geometry.stride for n in image.shape[1:]))
            for image, cls in zip(inputs, classes)
        ]


def make_sample(mask, label=1, img_shape=None, attention=None):
    sample = DataSample().set_gt_label(label)
    sample.set_metainfo(
        dict(
            img_shape=img_shape or mask.shape,
            part_mask=mask,
            telling_parts=(3, )))
    if attention is not None:
        sample.attention = torch.as_tensor(attention)[None, None]
        sample.attention_classes = torch.tensor([label])
    return sample


def evaluate(masks, heats, prepared=True, interval=False, **explainer):
    """PointingGame of an explainer that gives the maps ``heats``."""
    metric = PointingGame(
        explainer=dict(type='FixedExplainer', **explainer), interval=interval)
    if prepared:
        metric.prepare('model')
    stride = explainer.get('stride', 1)
    samples = [
        make_sample(mask, img_shape=tuple(stride * n for n in np.shape(heat)))
        for mask, heat in zip(masks, heats)
    ]
    evaluator = Evaluator([metric])
    evaluator.process(
        samples,
        dict(inputs=[torch.tensor(h, dtype=torch.float)[None] for h in heats]))
    metrics = evaluator.evaluate(len(samples))
    return {k.split('/', 1)[1]: v for k, v in metrics.items()}


MASKS = np.array([[[3, 1], [0, 0]], [[0, 0], [0, 3]]], np.uint8)
HEATS = np.array([[[4, 2], [1, 1]], [[-9, 1], [0, 3]]])


def test_mass_and_its_controls_by_hand():
    figures = evaluate(MASKS, HEATS)
    # Shares of the positive values: 6/8 and 3/4 on the bird, 4/8 and 3/4 on
    # the telling part; of the other's map 1/4 and 1/8, 0 and 1/8.
    assert figures == pytest.approx(
        dict(
            bird=100,
            bird_area=100 * 3 / 8,
            bird_shuffled=0,
            bird_mass=75,
            bird_mass_shuffled=18.75,
            telling=100,
            telling_area=25,
            telling_shuffled=0,
            telling_mass=62.5,
            telling_mass_shuffled=6.25))


def test_several_names_give_figures_each():
    figures = evaluate(MASKS, HEATS, names=('plus', 'minus'))
    alone = evaluate(MASKS, HEATS)
    for key, value in alone.items():
        key = key if 'area' in key else f'plus/{key}'
        assert figures[key] == pytest.approx(value)
    # The first negative has no positive value and counts as even, the second
    # has its mass on (0, 0).
    assert figures['minus/bird_mass'] == pytest.approx(50 / 2)
    assert len(figures) == 2 * (1 + 2 * 4)


def test_an_even_map_has_the_mass_of_the_area():
    rng = np.random.RandomState(0)
    masks = rng.choice([0, 3], (3, 24, 30)).astype(np.uint8)
    # Both cells of strange places and the mask's scale leave it so.
    figures = evaluate(masks, np.ones((3, 3, 5)), stride=4, offset=-1.7)
    for kind in ('mass', 'mass_shuffled'):
        assert figures[f'bird_{kind}'] == pytest.approx(figures['bird_area'])


@pytest.mark.parametrize('value', [0, 1, np.nan])
def test_a_flat_map_hits_as_often_as_a_random_cell(value):
    rng = np.random.RandomState(0)
    masks = (rng.rand(5, 4, 4) < np.arange(1, 6)[:, None, None] / 6) * 3
    figures = evaluate(masks, np.full((5, 4, 4), float(value)))
    assert figures['bird_area'] not in (0, 100)
    for key in ('bird', 'bird_shuffled'):
        assert figures[key] == pytest.approx(figures['bird_area'])


def test_cells_that_are_equally_high_share_the_hit():
    heats = HEATS.copy()
    heats[0, 1] = 4  # one of three lies on the telling part, two on the bird
    figures = evaluate(MASKS, heats)
    assert figures['telling'] == pytest.approx(100 * (1 / 3 + 1) / 2)
    assert figures['bird'] == pytest.approx(100 * (1 / 3 + 1) / 2)
    # the other map of the first peaks in (1, 1), as one of its own three
    assert figures['bird_shuffled'] == pytest.approx(100 * (0 + 1 / 3) / 2)


def test_flat_maps_of_other_grids_share_relative_positions():
    small = np.array([[3, 0], [0, 0]], np.uint8)
    large = np.kron(small, np.ones((2, 2), np.uint8))
    figures = evaluate([small, large], [np.zeros((2, 2)), np.zeros((4, 4))])
    assert figures['bird'] == pytest.approx(25)
    assert figures['bird_shuffled'] == pytest.approx(25)


def test_mass_is_that_of_the_drawn_heat():
    rng = np.random.RandomState(0)
    masks = rng.choice([0, 1, 3], (2, 24, 30)).astype(np.uint8)
    heats = rng.rand(2, 3, 5)
    masses = [
        100 * heat[mask == 3].sum() / heat.sum() for mask, heat in zip(
            masks,
            CellGeometry(4, 1.5).resample(heats, (12, 20), (24, 30)))
    ]
    figures = evaluate(masks, heats, stride=4, offset=1.5)
    assert figures['telling_mass'] == pytest.approx(np.mean(masses))


def test_shuffled_mass_is_the_mean_over_all_other_images():
    rng = np.random.RandomState(0)
    masks = rng.choice([0, 3], (5, 6, 6)).astype(np.uint8)
    heats = rng.rand(5, 6, 6)**4
    expected = np.mean([
        heats[j][masks[i] == 3].sum() / heats[j].sum() for i in range(5)
        for j in range(5) if i != j
    ])
    figures = evaluate(masks, heats)
    assert figures['bird_mass_shuffled'] == pytest.approx(100 * expected)
    assert abs(figures['bird_mass'] - 100 * expected) > .1
    assert np.isnan(evaluate(masks[:1], heats[:1])['bird_mass_shuffled'])


def test_shuffled_mass_compares_relative_positions_across_grids():
    small = np.array([[3, 0], [0, 0]], np.uint8)
    large = np.zeros((4, 4), np.uint8)
    large[:2, :2] = 3
    corner, other = np.eye(4)[[0, 3]].reshape(2, 2, 2)
    large_heat = np.kron(other, np.ones((2, 2)))
    # The small map lies in the large region, the large one misses the small.
    figures = evaluate([small, large], [corner, large_heat])
    assert figures['bird_mass_shuffled'] == pytest.approx(50)
    figures = evaluate([small, large, large],
                       [other, np.kron(corner, np.ones(
                           (2, 2)))] + [np.ones((4, 4))])
    # Of six pairs: 0, 0 by the small map; 1, 1 by the large; 1/4 twice.
    assert figures['bird_mass_shuffled'] == pytest.approx(250 / 6)


def test_maps_of_pixels_are_merged_for_the_control_only():
    masks = np.zeros((2, 112, 112), np.uint8)
    masks[0, :56] = 3
    masks[1, :, 56:] = 3
    heats = np.zeros((2, 112, 112))
    heats[0, 3, 90] = heats[1, 90, 91] = 1
    figures = evaluate(masks, heats)
    assert figures['bird_mass'] == 100
    assert figures['bird_mass_shuffled'] == pytest.approx(50)


def test_attached_attention_has_mass_too():
    attention = np.array([[.5, .1], [.1, .3]])
    sample = make_sample(MASKS[0], attention=attention)
    evaluator = Evaluator([PointingGame(stride=1)])
    evaluator.process([sample])
    figures = evaluator.evaluate(1)
    assert figures['pointing/bird_mass'] == pytest.approx(60)
    assert figures['pointing/telling_mass'] == pytest.approx(50)


def test_intervals_hold_the_figures():
    rng = np.random.RandomState(0)
    masks = rng.choice([0, 3], (30, 4, 4)).astype(np.uint8)
    heats = rng.rand(30, 4, 4)
    figures = evaluate(masks, heats, interval=True)
    for key in ('bird', 'telling_mass'):
        low, high = figures[f'{key}_low'], figures[f'{key}_high']
        assert 0 < low < figures[key] < high < 100
        assert high - low < 50


def test_true_class_is_asked_for():
    metric = PartPointing(explainer=dict(type='FixedExplainer', stride=4))
    metric.prepare('model')
    rate = {}
    for label in (1, 2):
        sample = DataSample().set_gt_label(label)
        sample.set_metainfo(
            dict(
                img_path='bird.jpg',
                img_shape=(8, 8),
                ori_shape=(8, 8),
                part_points=np.array([[4.5, 4.5]]),
                bbox=np.array([0, 0, 8, 8])))
        heat = torch.tensor([[[0., 0], [0, 1]]])
        metric.process(dict(inputs=[heat]), [sample.to_dict()])
        rate[label] = metric.evaluate(1)['part_pointing/part']
    # the flat map of class 2 has one of its four cells on the part
    assert rate == {1: 100, 2: 25}


@torch.no_grad()
def test_explained_and_attached_attention_agree():
    """In one batch of different sizes."""
    model = tiny_model(std=8, **LARGER)
    inputs = tiny_batch((64, 48), (48, 96), (64, 64))['inputs']
    rng = np.random.RandomState(0)
    samples = []
    for image, label in zip(inputs, (0, 3, 4)):
        mask = rng.choice([0, 1, 3], image.shape[1:]).astype(np.uint8)
        samples.append(make_sample(mask, label))
    data = model.data_preprocessor(dict(inputs=inputs, data_samples=samples))
    samples = model.predict(**data, attention=dict(classes=('gt', )))
    geometry = infer_cell_geometry(model)
    attached = PointingGame(geometry.stride, geometry.offset)
    explained = PointingGame(explainer=dict(type='AttentionExplainer'))
    evaluator = Evaluator([attached, explained])
    explained.prefix = 'explained'
    explained.prepare(model)
    evaluator.process(samples, dict(inputs=inputs))
    metrics = evaluator.evaluate(3)
    assert len(metrics) == 20
    for key in [key for key in metrics if key.startswith('pointing/')]:
        other = metrics[key.replace('pointing', 'explained')]
        assert metrics[key] == pytest.approx(other, rel=1e-4)


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match='stride .* explainer'):
        PointingGame()
    with pytest.raises(RuntimeError, match='PrepareMetricsHook'):
        evaluate(MASKS, HEATS, prepared=False)
