from copy import deepcopy

import torch
from mmengine.config import Config
from mmengine.model.efficient_conv_bn_eval import \
    turn_on_efficient_conv_bn_eval
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner.activation_checkpointing import \
    turn_on_activation_checkpointing
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from intr_mm.command_line import use_amp
from .training_step import TrainingStep


class OurTrainingStep(TrainingStep):
    """A step of training as mmengine's runner makes it, on the same batch.

    ``activation_checkpointing`` and ``efficient_conv_bn_eval`` of the config
    are turned on as the runner does.

    Args:
        cfg: Full config, with ``optim_wrapper``.
        model: The model, on its device; it is trained.
        amp: Whether to train in mixed precision, see
            :func:`intr_mm.engine.use_amp`.
        inputs: Normalised images, (B, 3, H, W).
        samples: With labels.
    """

    def __init__(self, cfg: Config, model: nn.Module, amp: bool,
                 inputs: Tensor, samples: list[DataSample]) -> None:
        super().__init__(model)
        self.inputs = inputs
        self.samples = samples
        self.optim_wrapper = _optim_wrapper(cfg, model, amp, inputs.device)
        modules = cfg.get('activation_checkpointing')
        if modules is not None:
            turn_on_activation_checkpointing(model, modules)
        modules = cfg.get('efficient_conv_bn_eval')
        if modules is not None:
            turn_on_efficient_conv_bn_eval(model, modules)

    def __call__(self) -> None:
        """Make one step."""
        self.optim_wrapper.update_params(self.loss())

    def loss(self) -> Tensor:
        """The loss () of the batch."""
        with self.optim_wrapper.optim_context(self.model):
            losses = self.model(self.inputs, self.samples, mode='loss')
        return self.model.parse_losses(losses)[0]


def _optim_wrapper(cfg: Config, model: nn.Module, amp: bool,
                   device: torch.device) -> OptimWrapper:
    wrapper = deepcopy(cfg.optim_wrapper)
    if amp:
        use_amp(wrapper, device.type)
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmpretrain')):
        return build_optim_wrapper(model, wrapper)
