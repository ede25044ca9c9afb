import pytest
import torch

from intr_mm.evaluation import EvenAttention
from ..tiny import LARGER, tiny_batch, tiny_model

SIZES = [(64, 64), (64, 96), (48, 64)]


def evaluate(model, images, samples):
    metric = EvenAttention()
    metric.prepare(model)
    metric.process(dict(inputs=images), samples)
    return metric.compute_metrics(metric.results)


def predictions(model, images):
    with torch.no_grad():
        data = model.data_preprocessor(dict(inputs=images))
        labels = model(**data).argmax(1)
    return [dict(pred_label=label, gt_label=label) for label in labels]


def test_what_looks_evenly_anyway_keeps_its_predictions():
    model = tiny_model(**LARGER)
    attention = model.head.decoder.layers[-1].cross_attn.attn
    # queries of zero see all keys alike
    attention.in_proj_weight.data[:16] = 0
    attention.in_proj_bias.data[:16] = 0
    images = tiny_batch(*SIZES)['inputs']
    samples = predictions(model, images)
    assert evaluate(model, images, samples) == dict(top1=100, same=100)


def test_is_the_prediction_of_a_model_that_cannot_look():
    model = tiny_model(std=8, **LARGER)
    images = tiny_batch(*SIZES)['inputs']
    attention = model.head.decoder.layers[-1].cross_attn.attn
    # make what is looked at decide
    attention.out_proj.weight.data.mul_(20)
    as_is = predictions(model, images)
    query = attention.in_proj_weight.data[:16]
    sees = query.clone()
    query.zero_()
    even = predictions(model, images)
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
    assert evaluate(model, images, samples) == pytest.approx(
        dict(top1=100, same=100 * sum(map(int, same)) / 3))


def test_needs_the_model():
    with pytest.raises(RuntimeError, match='PrepareMetricsHook'):
        EvenAttention().process(dict(inputs=[]), [])
