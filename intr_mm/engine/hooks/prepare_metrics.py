from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from ..model_utils import unwrap_model


@HOOKS.register_module()
class PrepareMetricsHook(Hook):
    """Give the model to metrics that question it further.

    MMEngine's metrics see predictions only. Those that blank places of an
    image or explain it have to run the model again: their method ``prepare``
    receives it before each validation and test, as in MMagic.
    """

    def before_val_epoch(self, runner) -> None:
        """Prepare the metrics of the validation."""
        self._prepare(runner, runner.val_loop.evaluator)

    def before_test_epoch(self, runner) -> None:
        """Prepare the metrics of the test."""
        self._prepare(runner, runner.test_loop.evaluator)

    def _prepare(self, runner, evaluator: Evaluator) -> None:
        for metric in evaluator.metrics:
            if hasattr(metric, 'prepare'):
                metric.prepare(unwrap_model(runner.model))
