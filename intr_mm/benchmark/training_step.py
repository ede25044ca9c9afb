from abc import ABC, abstractmethod

from torch import Tensor, nn


class TrainingStep(ABC):
    """A step of training, again and again on the same batch.

    Args:
        model: The model, on its device; it is trained.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model.train()

    @abstractmethod
    def __call__(self) -> None:
        """Make one step."""

    @abstractmethod
    def loss(self) -> Tensor:
        """The loss () of the batch."""

    def loss_without_dropout(self) -> Tensor:
        """The loss () of the batch in eval mode, with gradients recorded."""
        self.model.eval()
        loss = self.loss().detach()
        self.model.train()
        return loss
