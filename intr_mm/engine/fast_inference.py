"""A model made fast for inference, at the cost of being trained no more."""
from copy import deepcopy

import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmpretrain.models.classifiers import BaseClassifier
from mmpretrain.registry import HOOKS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from intr_mm.models import BaseExplainingHead
from intr_mm.models.utils import last_of
from intr_mm.structures import remove_forward_overrides
from .dynamic_pooling import replace_max_pooling


def optimize_for_inference(model: nn.Module,
                           dtype: str = 'bfloat16',
                           compile: bool = False) -> nn.Module:
    """Copy of a classifier that predicts faster.

    Batch normalisation is folded into the convolutions before it, the
    backbone runs channels-last, and all but what needs float32 computes in
    ``dtype``, see :meth:`BaseExplainingHead.convert`. On request
    ``torch.compile`` fuses the backbone's activations with its convolutions.
    One compilation serves images of all sizes, with PyTorch 2.4 or newer, and
    another batches of several images of one size, which on a CPU are those
    below 363x363. Each takes about half a minute there, and a C++ compiler.

    The copy keeps its weights; change the original and make another.

    Args:
        model: The classifier, or a model that wraps one, as for test-time
            augmentation.
        dtype: ``'float32'``, ``'bfloat16'`` or ``'float16'``.
        compile: Whether to compile the backbone.

    Returns:
        The copy, in eval mode, of the same class.

    Raises:
        ValueError: If ``dtype`` is none of the three.
    """
    dtypes = {
        name: getattr(torch, name)
        for name in ('float32', 'bfloat16', 'float16')
    }
    if dtype not in dtypes:
        raise ValueError(f"dtype='{dtype}' is not known: use one of "
                         f"{', '.join(dtypes)}.")
    model = deepcopy(model).eval().requires_grad_(False)
    for module in list(model.modules()):
        if isinstance(module, BaseClassifier):
            _optimize(module, dtypes[dtype], compile)
    return model


def _optimize(classifier: BaseClassifier, dtype: torch.dtype,
              compile: bool) -> None:
    backbone = classifier.backbone
    remove_forward_overrides(backbone)
    norms = [m for m in backbone.modules() if isinstance(m, _BatchNorm)]
    # Those of timm also activate, and are more than an affine function.
    if norms and all(
            type(norm) in (nn.BatchNorm2d, nn.SyncBatchNorm)
            for norm in norms):
        backbone = _fold_norms(backbone)
    backbone.to(dtype=dtype, memory_format=torch.channels_last)

    @torch.compiler.disable  # it would be compiled by itself
    def convert(_, args: tuple[Tensor]) -> tuple[Tensor]:
        return tuple(
            images.to(dtype=dtype, memory_format=torch.channels_last)
            for images in args)

    backbone.register_forward_pre_hook(convert)
    if classifier.with_neck:
        classifier.neck.to(dtype)
    if isinstance(classifier.head, BaseExplainingHead):
        classifier.head.convert(dtype)
    elif classifier.with_head:
        classifier.head.to(dtype)
    if compile:
        if next(backbone.parameters()).device.type == 'cpu':
            # Lets inductor fuse convolutions of oneDNN with what follows; a
            # setting of the process, for models that compile from now on.
            from torch._inductor import config
            config.freezing = True
        replace_max_pooling(backbone)
        # PyTorch compiles for one image and once more for several: let large
        # images go one at a time, of which a batch gains nothing.
        classifier.pixels_at_once = 2**18
        backbone = torch.compile(backbone, dynamic=True)
    classifier.backbone = backbone
    classifier.feature_cache = None  # which is the original's


def _fold_norms(backbone: nn.Module) -> nn.Module:
    """Fold normalisation into the convolutions before it, unless that changes
    what the backbone computes: mmcv takes the order of definition for that of
    the forward pass, between which some activate."""
    weight = next(backbone.parameters())
    image = torch.randn(
        1, 3, 224, 224, generator=torch.Generator().manual_seed(0)).to(weight)
    try:
        folded = fuse_conv_bn(deepcopy(backbone))
        with torch.no_grad():
            before, after = (
                last_of(part(image)).float() for part in (backbone, folded))
        error = (after - before).abs().max() / before.abs().max()
    except Exception as reason:  # of whatever a backbone is made of
        error = reason
    if isinstance(error, Tensor) and error < 1e-3:
        return folded
    print_log(
        f'The batch normalisation of {type(backbone).__name__} is not folded '
        f'into its convolutions, as that would change it ({error}).',
        'current')
    return backbone


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
        # The loop puts the copy into this mode, after this hook.
        model = runner.model.eval()
        if is_model_wrapper(model):
            model = model.module
        runner.model = optimize_for_inference(model, self.dtype, self.compile)

    def after_test_epoch(self, runner, metrics=None) -> None:
        """Put the model back."""
        runner.model = self._original
