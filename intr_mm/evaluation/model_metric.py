from mmengine.evaluator import BaseMetric
from torch import nn


class ModelMetric(BaseMetric):
    """Base of metrics that question the model further than its predictions.

    :class:`PrepareMetricsHook` gives them the model.

    Args:
        collect_device: Device for collecting results from different ranks,
            'cpu' or 'gpu'.
        prefix: Prefix of the names of the figures.
    """

    def __init__(self,
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self._model: nn.Module | None = None

    def prepare(self, model: nn.Module) -> None:
        """Receive the model, before an epoch of validation or test.

        Args:
            model: The classifier, not wrapped.
        """
        self._model = model

    @property
    def model(self) -> nn.Module:
        """The classifier.

        Raises:
            RuntimeError: If the metric was not prepared.
        """
        if self._model is None:
            raise RuntimeError(
                f'{type(self).__name__} needs the model: add '
                'PrepareMetricsHook to the hooks, or call prepare(model).')
        return self._model
