import pytest
import torch

from intr_mm.evaluation import EvenAttention
from ..test_explainers.tiny_model import build_model, images_of

SHAPES = [(64, 64), (64, 96), (48, 64)]


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
    model = build_model()
    attention = model.head.decoder.layers[-1].cross_attn.attn
    # queries of zero see all keys alike
    attention.in_proj_weight.data[:16] = 0
    attention.in_proj_bias.data[:16] = 0
    images = images_of(*SHAPES)
    samples = predictions(model, images)
    assert evaluate(model, images, samples) == dict(top1=100, same=100)


def test_is_the_prediction_of_a_model_that_cannot_look():
    model = build_model()
    # make what is looked at decide
    for name in ('in_proj_weight', 'out_proj.weight'):
        model.head.decoder.layers[-1].cross_attn.attn.get_parameter(
            name).data.mul_(20)
    images = images_of(*SHAPES)
    as_is = predictions(model, images)
    attention = model.head.decoder.layers[-1].cross_attn.attn
    sees, attention.in_proj_weight.data[:16] = (
        attention.in_proj_weight.data[:16].clone(), 0)
    even = predictions(model, images)
    attention.in_proj_weight.data[:16] = sees
    samples = [
        dict(gt_label=one['pred_label'], pred_label=other['pred_label'])
        for one, other in zip(even, as_is)
    ]
    figures = evaluate(model, images, samples)
    assert figures['top1'] == 100
    same = sum(one['pred_label'] == other['pred_label']
               for one, other in zip(even, as_is))
    assert figures['same'] == pytest.approx(100 * int(same) / 3)


def test_needs_the_model():
    with pytest.raises(RuntimeError, match='add PrepareMetricsHook'):
        EvenAttention().process(dict(inputs=[]), [])
