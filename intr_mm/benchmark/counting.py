"""Multiply-adds of a case, as our model needs them."""
from mmengine.config import Config
from torch import Tensor, nn

from intr_mm.utils.complexity import count_flops
from .case import Case
from .weights import build_model

# counted in additions there, and no work for matrix units
_NOT_MATRICES = ('batch_norm', 'layer_norm')


def count_work(cfg: Config, case: Case) -> int:
    """Count the FLOPs of a case, two for each multiply-add.

    It is the nominal work: what an implementation computes twice counts once.
    Training costs three forward passes, less two thirds of that for frozen
    convolutions, which have no backward pass.

    Args:
        cfg: Full config.
        case: What is measured.

    Returns:
        FLOPs of convolutions, projections and attention; 0 if no model takes
        part.
    """
    if case.files:
        return 0
    model = build_model(cfg, case.num_classes).eval()
    frozen = _FrozenConvs(model)
    if case.work == 'decoder':
        work = _multiply_adds(_DecoderAlone(model.head, case.shape), (32, 32))
    else:
        work = _multiply_adds(model, case.shape)
    if case.training:
        work = 3 * work - 2 * frozen.multiply_adds
    return 2 * case.batch_size * work


def _multiply_adds(model: nn.Module, shape) -> int:
    flops = count_flops(model, shape)
    return sum(n for name, n in flops.items() if name not in _NOT_MATRICES)


class _FrozenConvs:
    """Multiply-adds of the convolutions whose weights are not trained."""

    def __init__(self, model: nn.Module) -> None:
        self.multiply_adds = 0
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                if not module.weight.requires_grad:
                    module.register_forward_hook(self._count)

    def _count(self, module: nn.Conv2d, inputs: tuple, out: Tensor) -> None:
        self.multiply_adds += out.numel() * module.weight[0].numel()


class _DecoderAlone(nn.Module):
    """The head on a memory, to be counted as a model of images."""

    def __init__(self, head: nn.Module, shape: tuple) -> None:
        super().__init__()
        self.head = head
        self.shape = shape

    def forward(self, image: Tensor) -> Tensor:
        return self.head((image.new_empty(1, self.head.embed_dims,
                                          *self.shape), ))
