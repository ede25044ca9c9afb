import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor, nn

from .training_step import TrainingStep


class OfficialTrainingStep(TrainingStep):
    """A step of training in the order of the official code, on one batch.

    Args:
        recipe: ``optim_wrapper`` of the config.
        model: The official model, on its device; it is trained.
        images: Its images with their padding mask.
        labels: int64 of shape (B, ).
    """

    def __init__(self, recipe: Config, model: nn.Module, images,
                 labels: Tensor) -> None:
        super().__init__(model)
        self.images = images
        self.labels = labels
        self.optimizer = _optimizer(recipe, model)
        self.max_norm = recipe.clip_grad.max_norm

    def __call__(self) -> None:
        """Make one step."""
        loss = self.loss()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.max_norm)
        self.optimizer.step()

    def loss(self) -> Tensor:
        """The loss () of the batch."""
        logits = self.model(self.images)[0]['query_logits']
        return F.cross_entropy(logits, self.labels)


def _optimizer(recipe: Config, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW whose backbone learns at a rate of its own."""
    options = dict(recipe.optimizer)
    options.pop('type')
    keys = recipe.get('paramwise_cfg', {}).get('custom_keys', {})
    backbone_lr = options['lr'] * keys.get('backbone', {}).get('lr_mult', 1.)
    backbone, others = [], []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            group = backbone if name.startswith('backbone.') else others
            group.append(parameter)
    return torch.optim.AdamW(
        [dict(params=others),
         dict(params=backbone, lr=backbone_lr)], **options)
