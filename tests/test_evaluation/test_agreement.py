import pytest
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from intr_mm.evaluation import Agreement


def make_sample(gt, pred, teacher=None):
    sample = DataSample().set_gt_label(gt).set_pred_label(pred)
    if teacher is not None:
        sample.set_field(DataSample().set_gt_label(teacher).gt_label,
                         'teacher_label')
    return sample


def evaluate(samples, size=None):
    evaluator = Evaluator([Agreement()])
    evaluator.process(samples)
    return evaluator.evaluate(size or len(samples))


def test_agreement_by_hand():
    labels = [(0, 0, 0), (1, 2, 2), (2, 2, 1), (0, 1, 0)]
    samples = [make_sample(*some) for some in labels]
    assert evaluate(samples) == {'teacher/agreement': 50, 'teacher/top1': 50}
    # those that were repeated to fill a batch count once
    assert evaluate(samples[:3] + samples[:1], 3) == pytest.approx({
        'teacher/agreement':
        200 / 3,
        'teacher/top1':
        100 / 3
    })


def test_a_missing_teacher_is_named():
    with pytest.raises(ValueError, match="'teacher_label'.*distill=True"):
        evaluate([make_sample(0, 0)])
