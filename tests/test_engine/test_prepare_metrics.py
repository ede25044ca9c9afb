import pytest
from mmengine.evaluator import BaseMetric

from intr_mm.evaluation import InsertionDeletion
from intr_mm.models import INTRClassifier
from ..tiny import build_runner


class Questioning(BaseMetric):
    """Note which model was there to ask when a batch came."""
    default_prefix = 'questioning'

    def __init__(self):
        super().__init__()
        self.model = None

    def prepare(self, model):
        self.model = model

    def process(self, data_batch, data_samples):
        self.results += [isinstance(self.model, INTRClassifier)
                         ] * len(data_samples)

    def compute_metrics(self, results):
        return dict(asked=sum(results) / len(results))


@pytest.mark.parametrize('stage', ['val', 'test'])
def test_metrics_have_the_model_before_the_first_batch(images, tmp_path,
                                                       stage):
    """Those without a method ``prepare`` are left alone."""
    runner = build_runner(images, tmp_path)
    loop = getattr(runner, f'{stage}_loop')
    loop.evaluator.metrics.append(Questioning())
    figures = getattr(runner, stage)()
    assert figures['questioning/asked'] == 1
    assert 'accuracy/top1' in figures


def test_missing_hook_is_named(images, tmp_path):
    runner = build_runner(images, tmp_path, default_hooks=dict(_delete_=True))
    metric = InsertionDeletion(dict(type='AttentionExplainer'), steps=2)
    runner.test_loop.evaluator.metrics.append(metric)
    with pytest.raises(RuntimeError, match='PrepareMetricsHook'):
        runner.test()
