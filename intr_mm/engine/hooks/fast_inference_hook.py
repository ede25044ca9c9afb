from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmpretrain.registry import HOOKS

from ..fast_inference import optimize_for_inference


@HOOKS.register_module()
class FastInferenceHook(Hook):
    """Test with a faster copy of the model.

    See :func:`intr_mm.engine.optimize_for_inference`. The runner has its own
    model again after the test. Metrics that question the model further keep
    the original.

    Args:
        dtype: ``'float32'``, ``'bfloat16'`` or ``'float16'``.
        compile: Whether to compile the backbone, which pays where the test
            takes much longer than the minute it costs.
    """

    # after PrepareMetricsHook
    priority = 'LOW'

    def __init__(self, dtype: str = 'bfloat16', compile: bool = False) -> None:
        self.dtype = dtype
        self.compile = compile
        self._original = None

    def before_test_epoch(self, runner) -> None:
        """Put the copy in the model's place."""
        self._original = runner.model
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        runner.model = optimize_for_inference(model, self.dtype, self.compile)

    def after_test_epoch(self, runner, metrics=None) -> None:
        """Put the model back."""
        runner.model = self._original
