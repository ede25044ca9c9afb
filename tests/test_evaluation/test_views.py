"""Metrics that ask the model again want images, not views of them."""
import pytest
import torch
from mmpretrain.registry import METRICS

from ..tiny import tiny_batch, tiny_model

EXPLAINER = dict(type='AttentionExplainer')


@pytest.mark.parametrize(
    'metric', [
        dict(type='EvenAttention'),
        dict(type='HeadSelection'),
        dict(type='InsertionDeletion', explainer=EXPLAINER),
        dict(type='RegionBlanking', explainer=EXPLAINER),
        dict(type='PointingGame', explainer=EXPLAINER, telling_key=None),
    ],
    ids=lambda metric: metric['type'])
def test_refuses_views(metric):
    images = tiny_batch((64, 64))['inputs']
    sample = dict(
        gt_label=torch.tensor([0]),
        pred_label=torch.tensor([0]),
        img_shape=(64, 64),
        part_mask=torch.ones(64, 64))
    metric = METRICS.build(metric)
    metric.prepare(tiny_model())
    with pytest.raises(ValueError, match='test without --tta'):
        metric.process(dict(inputs=[images, images]), [sample])
