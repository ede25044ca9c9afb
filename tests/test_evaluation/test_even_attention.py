import numpy as np
import pytest
import torch

from intr_mm.evaluation import EvenAttention, chosen_share
from intr_mm.models import Decoded
from ..test_models.test_evidence_head import evidence_model
from ..tiny import LARGER, tiny_batch, tiny_model

SIZES = [(64, 64), (64, 96), (48, 64)]


def evaluate(model, images, samples):
    metric = EvenAttention()
    metric.prepare(model)
    metric.process(dict(inputs=images), samples)
    return metric.compute_metrics(metric.results)


@torch.no_grad()
def logits_of(model, images):
    return model(**model.data_preprocessor(dict(inputs=images)))


def predictions(model, images):
    labels = logits_of(model, images).argmax(1)
    return [dict(pred_label=label, gt_label=label) for label in labels]


def test_what_looks_evenly_anyway_keeps_its_predictions():
    model = tiny_model(**LARGER)
    attention = model.head.decoder.layers[-1].cross_attn.attn
    # queries of zero see all keys alike
    attention.in_proj_weight.data[:16] = 0
    attention.in_proj_bias.data[:16] = 0
    images = tiny_batch(*SIZES)['inputs']
    samples = predictions(model, images)
    assert evaluate(model, images, samples) == pytest.approx(
        dict(top1=100, same=100, margin=0, chance=20), abs=.1)


def test_is_the_prediction_of_a_model_that_cannot_look():
    model = tiny_model(std=8, **LARGER)
    images = tiny_batch(*SIZES)['inputs']
    attention = model.head.decoder.layers[-1].cross_attn.attn
    # make what is looked at decide
    attention.out_proj.weight.data.mul_(20)
    as_is = predictions(model, images)
    before = logits_of(model, images)
    query = attention.in_proj_weight.data[:16]
    sees = query.clone()
    query.zero_()
    even = predictions(model, images)
    after = logits_of(model, images)
    query.copy_(sees)
    samples = [
        dict(gt_label=one['pred_label'], pred_label=other['pred_label'])
        for one, other in zip(even, as_is)
    ]
    same = [
        one['pred_label'] == other['pred_label']
        for one, other in zip(even, as_is)
    ]
    assert not all(same)
    shares = []
    for own, other in zip(before.tolist(), after.tolist()):
        second, best = np.argsort(own)[-2:]
        kept = (other[best] - other[second]) / (own[best] - own[second])
        shares.append(min(max(1 - kept, 0), 1))
    assert 0 < np.mean(shares) < 1
    assert evaluate(model, images, samples) == pytest.approx(
        dict(
            top1=100,
            same=100 * sum(map(int, same)) / 3,
            margin=100 * np.mean(shares),
            chance=20),
        rel=1e-3)


@pytest.mark.parametrize('even, gone', [((3, 1, 9), .5), ((7, 0, 0), 0),
                                        ((0, 1, 0), 1)])
def test_margin_is_that_of_the_predicted_class_and_its_rival(even, gone):
    """The lead of class 0 over class 1, of 4, whatever class 2 does."""
    model = tiny_model()
    model.head.decode = lambda *args: Decoded(
        torch.tensor([[5., 1, 0]]), None, None, None)
    model.head.rescore_even = lambda _: torch.tensor([even]).float()
    samples = [dict(pred_label=0, gt_label=0)]
    figures = evaluate(model, tiny_batch((64, 64))['inputs'], samples)
    assert figures['margin'] == pytest.approx(100 * gone)


def test_a_tie_has_no_margin_that_could_go():
    model = tiny_model(head__num_classes=2)
    model.head.decode = lambda *args: Decoded(
        torch.ones(1, 2), None, None, None)
    model.head.rescore_even = lambda _: torch.ones(1, 2)
    figures = evaluate(model,
                       tiny_batch((64, 64))['inputs'],
                       [dict(pred_label=0, gt_label=1)])
    assert figures == dict(top1=50, same=50, margin=0, chance=50)


def test_classes_that_differ_by_rounding_are_chosen_by_lot():
    scores = torch.tensor([.3, .3, .2, .2])
    scores[1] -= 3e-8
    assert scores[1] < scores[0]
    assert [chosen_share(scores, label)
            for label in range(4)] == [.5, .5, 0, 0]


def test_of_an_only_layer_nothing_is_left():
    """Its queries have seen nothing that tells the classes apart."""
    model = tiny_model(std=5, head__num_classes=5)
    images = tiny_batch(*SIZES)['inputs']
    figures = evaluate(model, images, predictions(model, images))
    assert figures['top1'] == figures['same'] == pytest.approx(20)


def test_of_evidence_nothing_is_left():
    model = evidence_model()
    images = tiny_batch(*SIZES)['inputs']
    samples = predictions(model, images)
    for sample, label in zip(samples, (0, 3, 0)):
        sample['gt_label'] = label
    figures = evaluate(model, images, samples)
    # all classes score alike, whatever their order
    assert figures['top1'] == pytest.approx(20)
    assert figures['same'] == pytest.approx(20)
    assert figures['margin'] == pytest.approx(100)


def test_an_only_class_has_no_rival():
    model = tiny_model(head__num_classes=1)
    figures = evaluate(model,
                       tiny_batch((64, 64))['inputs'],
                       [dict(pred_label=0, gt_label=0)])
    assert figures == dict(top1=100, same=100, margin=0, chance=100)


def test_needs_the_model():
    with pytest.raises(RuntimeError, match='PrepareMetricsHook'):
        EvenAttention().process(dict(inputs=[]), [])
