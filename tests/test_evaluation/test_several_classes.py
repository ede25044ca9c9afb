"""What is about images of one class refuses several in one sentence."""
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.registry import METRICS
from mmpretrain.structures import DataSample

from ..tiny import tiny_batch, tiny_model

EXPLAINER = dict(type='AttentionExplainer')


@pytest.fixture(scope='module')
def predicted():
    """A batch of which each image shows one class, as others might not."""
    model = tiny_model(
        head__type='MultiLabelINTRHead',
        test_cfg=dict(attention=dict(classes=('gt', 'top3'))))
    batch = tiny_batch((48, 48), (48, 48), labels=(1, 2))
    meta = dict(
        pair_id=0,
        repainted=False,
        part_points=[],
        bbox=[],
        ori_shape=(48, 48))
    for sample in batch['data_samples']:
        sample.set_metainfo(meta)
    samples = model.predict(**model.data_preprocessor(batch))
    for sample in samples:
        sample.set_field(torch.tensor([1]), 'teacher_label')
    return model, batch, samples


@pytest.mark.parametrize(
    'metric', [
        dict(type='Agreement'),
        dict(type='CalibrationError'),
        dict(type='ClassDistinctness'),
        dict(type='CounterfactualFlips'),
        dict(type='EvenAttention'),
        dict(type='HeadDiversity'),
        dict(type='HeadDiversity', label='pred'),
        dict(type='HeadSelection'),
        dict(type='InsertionDeletion', explainer=EXPLAINER),
        dict(type='RegionBlanking', explainer=EXPLAINER),
        dict(type='PartPointing', stride=16),
    ],
    ids=lambda metric: metric['type'])
def test_metrics(predicted, metric):
    model, batch, samples = predicted
    metric = METRICS.build(metric)
    if hasattr(metric, 'prepare'):
        metric.prepare(model)
    with pytest.raises(
            ValueError,
            match=f'^{type(metric).__name__} is about '
            'images of one class.*take it out'):
        Evaluator(metric).process(samples, batch)


def test_labels_of_another_head():
    """Without a word of the head, the number of labels tells."""
    sample = DataSample().set_gt_label([1, 2]).set_pred_label(1)
    sample.set_pred_score(torch.tensor([.1, .9, .5]))
    metric = dict(type='CalibrationError')
    with pytest.raises(ValueError, match='images of one class'):
        Evaluator(METRICS.build(metric)).process([sample])


def test_tables(predicted, tmp_path):
    tables = METRICS.build(
        dict(type='PredictionTables', out_file_path=str(tmp_path / 'a.csv')))
    with pytest.raises(ValueError, match='can have several: write a .pkl'):
        Evaluator(tables).process(predicted[2])
