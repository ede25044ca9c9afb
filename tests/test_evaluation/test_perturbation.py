"""Insertion, deletion and blanking, on a model that sees one pixel."""
import numpy as np
import pytest
import torch
from mmpretrain.registry import METRICS, MODELS, TASK_UTILS
from torch import nn

from intr_mm.evaluation import (InsertionDeletion, RegionBlanking,
                                compare_deletion)
from intr_mm.evaluation.perturbation import rank_pixels
from intr_mm.models import explain_batch
from intr_mm.structures import CellGeometry, Explanation
from ..tiny import tiny_batch, tiny_model

# Distinct, so that the order of the pixels is no matter of ties.
LOW = torch.linspace(0, .5, 16).view(4, 4).flip(0, 1)


class OnePixel(nn.Module):
    """Class 1 if the first pixel is bright, else class 0."""

    def __init__(self, mean=None):
        super().__init__()
        normalise = {} if mean is None else dict(mean=mean, std=[1.] * 3)
        self.data_preprocessor = MODELS.build(
            dict(type='INTRDataPreprocessor', to_rgb=True, **normalise))
        self.offset = 0 if mean is None else mean[0]

    def forward(self, images, data_samples, mode):
        red = images[:, 0, 0, 0] + self.offset
        score = 100 * (red - 128)
        return torch.stack((torch.zeros_like(score), score), 1)


def points_there(model, images, classes):
    """The pixel that matters comes first."""
    map_ = LOW.clone()
    map_[0, 0] = 1
    return [map_] * len(images)


def points_elsewhere(model, images, classes):
    """The pixel that matters comes last."""
    map_ = LOW.clone()
    map_[0, 0] = -1
    return [map_] * len(images)


def bright():
    image = torch.zeros(3, 4, 4)
    image[:, 0, 0] = 255
    return image


def evaluate(type_, function, model=None, images=None, **cfg):
    metric = METRICS.build(
        dict(
            type=type_,
            explainer=dict(type='FunctionExplainer', function=function),
            **cfg))
    metric.prepare(model or OnePixel())
    images = [bright()] if images is None else images
    samples = [
        dict(pred_label=torch.tensor([1]), sample_idx=i)
        for i in range(len(images))
    ]
    metric.process(dict(inputs=images), samples)
    return metric.compute_metrics(metric.results)


def test_insertion_and_deletion():
    cfg = dict(steps=4, insertion_baseline='blank')
    right = evaluate('InsertionDeletion', points_there, **cfg)
    assert right['deletion'] == pytest.approx(12.5)
    assert right['insertion'] == pytest.approx(87.5)
    wrong = evaluate('InsertionDeletion', points_elsewhere, **cfg)
    assert wrong['deletion'] == pytest.approx(87.5)
    assert wrong['insertion'] == pytest.approx(12.5)


def test_blur_hides_a_single_pixel():
    cfg = dict(steps=4, blur=(3, 2), deletion_baseline='blur')
    assert evaluate('InsertionDeletion', points_there,
                    **cfg)['deletion'] == pytest.approx(12.5)


def test_blank_is_the_mean_of_the_normalisation():
    """With a bright mean the pixel is never missed; the mean is of RGB."""
    model = OnePixel(mean=[200., 0., 0.])
    figures = evaluate(
        'InsertionDeletion',
        points_there,
        model,
        steps=4,
        insertion_baseline='blank')
    assert figures['deletion'] == pytest.approx(100)
    assert evaluate('RegionBlanking', points_there, model)['flips'] == 0


def test_blanking_where_it_matters():
    figures = evaluate('RegionBlanking', points_there, fraction=1 / 16)
    assert figures['flips'] == 100 and figures['flips_random'] == 0
    figures = evaluate('RegionBlanking', points_elsewhere, fraction=1 / 16)
    assert figures['flips'] == 0


def test_what_hiding_does_not_change_is_no_flip():
    """The model tells another class than it did in another precision."""
    figures = evaluate(
        'RegionBlanking',
        points_elsewhere,
        images=[torch.zeros(3, 4, 4)],
        fraction=1 / 16)
    assert figures['flips'] == figures['flips_random'] == 0


def test_inpainting_continues_the_surroundings():
    figures = evaluate(
        'RegionBlanking', points_there, fraction=1 / 16, fill='inpaint')
    assert figures['flips'] == 100
    white = [torch.full((3, 4, 4), 255.)]
    figures = evaluate(
        'RegionBlanking',
        points_there,
        images=white,
        fraction=1 / 16,
        fill='inpaint')
    assert figures['flips'] == 0


def test_every_nth_sample_and_intervals():
    figures = evaluate(
        'RegionBlanking',
        points_there,
        images=[bright()] * 5,
        sample_interval=2,
        fraction=1 / 16,
        interval=True)
    assert figures['num_images'] == 3
    # Wilson's interval, as three flips of three do not say that all would
    assert figures['flips'] == figures['flips_high'] == 100
    assert figures['flips_low'] == pytest.approx(100 * 3 / (3 + 1.96**2))


def test_repetitions_of_several_ranks_are_not_counted():
    """The last two samples fill up a batch; MMEngine cuts them off."""
    metric = RegionBlanking(
        dict(type='FunctionExplainer', function=points_there),
        sample_interval=2)
    metric.prepare(OnePixel())
    for index in (0, 1, 2, 3, 0, 1):
        sample = dict(
            pred_label=torch.tensor([1]), sample_idx=torch.tensor(index))
        metric.process(dict(inputs=[bright()]), [sample])
    assert metric.evaluate(4)['blanking/num_images'] == 2


def test_equal_pixels_come_in_no_order_of_place():
    maps = np.zeros((1, 20, 20), np.float32)
    maps[0, 10, 10] = 1
    cells = Explanation(maps, CellGeometry(1, 0), (20, 20))
    rank = rank_pixels(cells, np.random.default_rng(0))[0]
    assert rank[10, 10] == 0
    assert sorted(rank.flatten().tolist()) == list(range(400))
    upper, lower = rank[:10].float().mean(), rank[10:].float().mean()
    assert abs(upper - lower) < 30
    again = rank_pixels(cells, np.random.default_rng(0))[0]
    assert torch.equal(rank, again)


def test_several_maps_keep_their_names():
    metric = RegionBlanking(
        dict(type='FunctionExplainer', function=points_there))
    metric.prepare(OnePixel())

    class Both:

        def names(self, model):
            return ['a', 'b']

        def __call__(self, model, images, classes):
            cells, = metric_explainer(model, images, classes)
            cells.maps = torch.stack(
                (points_there(None, [0],
                              None)[0], points_elsewhere(None, [0],
                                                         None)[0])).numpy()
            return [cells]

    metric_explainer, metric.explainer = metric.explainer, Both()
    metric.fraction = 1 / 16
    metric.process(
        dict(inputs=[bright()]), [dict(pred_label=torch.tensor([1]))])
    figures = metric.compute_metrics(metric.results)
    assert figures['a/flips'] == 100 and figures['b/flips'] == 0


@pytest.mark.parametrize('cfg,message', [
    (dict(steps=0), 'steps .* 0'),
    (dict(target='best'), "target='best'"),
    (dict(deletion_baseline='white'), "'white'"),
    (dict(curves=('rise', )), "'rise'"),
])
def test_wrong_arguments(cfg, message):
    with pytest.raises(ValueError, match=message):
        InsertionDeletion(
            dict(type='FunctionExplainer', function=points_there), **cfg)


@pytest.mark.parametrize('cfg,message', [
    (dict(fraction=1.), r'fraction .* 1\.0'),
    (dict(fill='grey'), "fill='grey'"),
])
def test_wrong_arguments_of_blanking(cfg, message):
    with pytest.raises(ValueError, match=message):
        RegionBlanking(
            dict(type='FunctionExplainer', function=points_there), **cfg)


def test_needs_the_model_and_the_index():
    metric = RegionBlanking(
        dict(type='FunctionExplainer', function=points_there),
        sample_interval=2)
    sample = dict(pred_label=torch.tensor([1]))
    with pytest.raises(RuntimeError, match='PrepareMetricsHook'):
        metric.process(dict(inputs=[bright()]), [sample])
    metric.prepare(OnePixel())
    with pytest.raises(ValueError, match='sample_idx'):
        metric.process(dict(inputs=[bright()]), [sample])


@pytest.mark.parametrize('pad_after_backbone', [False, True])
def test_cells_are_those_of_the_one_or_the_other(pad_after_backbone):
    """40 x 56 pixels are 3 x 4 cells, padded to 4 x 4."""
    model = tiny_model(
        std=8,
        data_preprocessor__pad_size_divisor=64,
        pad_after_backbone=pad_after_backbone)
    metric = InsertionDeletion(dict(type='AttentionExplainer'), of='cells')
    metric.prepare(model)
    pair = torch.stack(tiny_batch((40, 56), (40, 56))['inputs']).float()
    seen = []
    hook = model.neck.register_forward_pre_hook(
        lambda neck, args: seen.append(args[0][-1]))
    there = torch.zeros(3, 3, 4, dtype=torch.bool)
    there[0], there[1, 0, 1] = True, True
    one, other = metric.cells(pair, (3, 4))
    scores = metric.cell_scores(torch.where(there[:, None], one, other))
    mixed, = seen
    hook.remove()
    torch.testing.assert_close(scores[[0, 2]], metric.scores(pair))
    one, other = mixed[0], mixed[2]
    assert (one != other).any(0)[:3, :4].all()
    assert mixed[1, :, 0, 1].equal(one[:, 0, 1])
    mixed[1, :, 0, 1] = other[:, 0, 1]
    assert mixed[1].equal(other)
    with pytest.raises(ValueError, match=r'\(3, 4\) cells .* \(6, 8\)'):
        metric.cells(pair, (6, 8))


def test_cells_in_the_order_of_a_map():
    """Evidence before what speaks against the class, and the other way."""
    model = tiny_model(
        neck=None,
        head=dict(
            _delete_=True,
            type='EvidenceHead',
            num_classes=2,
            in_channels=32,
            embed_dims=16,
            num_heads=2))
    nn.init.normal_(model.head.query_embed.weight, std=8)
    nn.init.normal_(model.head.value.weight)
    image = tiny_batch((64, 96))['inputs'][0]
    explainer = TASK_UTILS.build(
        dict(type='EvidenceExplainer', against='rest'))
    with torch.no_grad():
        explanation, = explainer(model, [image], torch.tensor([1]))
    explanation.maps = np.concatenate([explanation.maps, -explanation.maps])
    metric = InsertionDeletion(
        dict(type='EvidenceExplainer'), steps=4, of='cells')
    metric.prepare(model)
    figures = metric.evaluate_image(image, 1, explanation)
    assert figures['insertion'][0] > figures['insertion'][1]
    assert figures['deletion'][0] < figures['deletion'][1]


def test_cells_of_another_model():
    with pytest.raises(TypeError, match="of='pixels'"):
        evaluate(
            'InsertionDeletion',
            points_there,
            of='cells',
            insertion_baseline='blank')


@torch.no_grad()
@pytest.mark.parametrize('head', ['INTRHead', 'EvidenceHead'])
def test_deletion_beside_chance(head):
    """What the metric says of the maps that are shown, and of noise."""
    model = tiny_model(
        std=5,
        head=dict(
            type=head,
            num_classes=3,
            embed_dims=16,
            num_heads=2,
            _delete_=True))
    images = tiny_batch((64, 64), (64, 96))['inputs']
    own = head.replace('INTR', 'Attention').replace('Head', 'Explainer')
    found = compare_deletion(
        model, [dict(inputs=[image]) for image in images], steps=3)
    samples, _ = explain_batch(model, images)
    samples = [dict(pred_label=sample.pred_label) for sample in samples]
    for name, figures in zip((own, 'RandomExplainer'), found):
        metric = InsertionDeletion(dict(type=name), steps=3)
        metric.prepare(model)
        metric.process(dict(inputs=images), samples)
        expected = metric.compute_metrics(metric.results)['deletion']
        assert figures['value'] == pytest.approx(expected, rel=1e-3)
        assert figures['low'] < expected < figures['high']
        assert figures['num_images'] == 2
