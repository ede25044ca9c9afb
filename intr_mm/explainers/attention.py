import zlib
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from mmpretrain.registry import TASK_UTILS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from intr_mm.models import BaseExplainingHead, Decoded, explain_batch
from intr_mm.models.padding import cut_padding
from intr_mm.structures import Explanation
from .base import BaseExplainer


@TASK_UTILS.register_module()
class AttentionExplainer(BaseExplainer):
    """Where a class looks: INTR's own explanation.

    Args:
        heads: ``'mean'`` gives the mean of the attention heads, ``'each'`` one
            map for each, ``'all'`` the mean and then each.
        layer: Decoder layer. -1 means the last.
    """

    def __init__(self, heads: str = 'mean', layer: int = -1) -> None:
        if heads not in ('mean', 'each', 'all'):
            raise ValueError(f'{type(self).__name__} got heads={heads!r}: use '
                             "'mean', 'each' or 'all'.")
        self.heads = heads
        self.layer = layer

    def names(self, model: nn.Module) -> list[str]:
        """See :class:`BaseExplainer`."""
        each = [f'head{i}' for i in range(model.head.num_heads)]
        return dict(mean=['mean'], each=each, all=['mean', *each])[self.heads]

    def __call__(self, model: nn.Module, inputs: Sequence[Tensor],
                 classes: Tensor) -> list[Explanation]:
        """See :class:`BaseExplainer`."""
        classes = classes.to(next(model.parameters(), classes).device)[:, None]
        samples, decoded = explain_batch(
            model, inputs, classes=classes, layers=(self.layer, ))
        explained = []
        for sample, maps in zip(
                samples, self._maps(model.head, samples, decoded, classes)):
            if self.heads != 'each':
                mean = maps.mean(0, keepdim=True)
                maps = mean if self.heads == 'mean' else torch.cat(
                    (mean, maps))
            explained.append(
                Explanation(maps.float().cpu().numpy(), sample.geometry,
                            tuple(sample.img_shape[:2])))
        return explained

    def _maps(self, head: BaseExplainingHead, samples: list[DataSample],
              decoded: Decoded, classes: Tensor) -> list[Tensor]:
        """Of each image the maps (heads, h, w) of its class."""
        return [sample.attention[0, 0] for sample in samples]


@TASK_UTILS.register_module()
class EvidenceExplainer(AttentionExplainer):
    """What each cell speaks for or against the class.

    Of a head that gives evidence (:class:`EvidenceHead`), it is what makes up
    the logit, exactly: mean over the heads times their number is the score.

    Of other heads it is an estimate. Attention says how much a class takes
    from a cell, not whether that raises its score. The map is the attention of
    the last decoder layer times the gradient of the class's logit with respect
    to it, less the part that all cells of a head share: positive where a cell
    speaks more for the class than the head's average. Gradient times input is
    from `Not Just a Black Box <https://arxiv.org/abs/1605.01713>`_.

    The estimate follows the encoder's tokens, as attention does: what the
    encoder has carried to another cell is shown there. Exact evidence is
    handed back to the cells that a token comes from.

    Args:
        heads: See :class:`AttentionExplainer`.
        against: What the class is compared with: None for nothing, ``'rival'``
            for the best other class, ``'rest'`` for the mean of all others,
            weighted by the softmax of their logits. `Finer-CAM
            <https://arxiv.org/abs/2501.11309>`_ (CVPR 2025) compares so.
    """

    def __init__(self,
                 heads: str = 'mean',
                 against: str | None = None) -> None:
        super().__init__(heads=heads)
        if against not in (None, 'rival', 'rest'):
            raise ValueError(f'EvidenceExplainer got against={against!r}: use '
                             "'rival', 'rest' or None.")
        self.against = against

    def _maps(self, head: BaseExplainingHead, samples: list[DataSample],
              decoded: Decoded, classes: Tensor) -> list[Tensor]:
        estimate = head.evidence if head.gives_evidence else partial(
            _estimate_evidence, head)
        others = self.against
        if others and head.multi_label:
            raise ValueError(
                f'EvidenceExplainer(against={others!r}) compares classes that '
                f'compete, which those of {type(head).__name__} do not: leave '
                'out against.')
        if others == 'rival':
            logits = decoded.logits.scatter(1, classes, -torch.inf)
            others = logits.argmax(1, keepdim=True)
        evidence = estimate(decoded, classes, others)
        return cut_padding(evidence[:, 0], decoded.padding_mask)


@torch.enable_grad()
def _estimate_evidence(head: BaseExplainingHead, decoded: Decoded,
                       classes: Tensor,
                       against: Tensor | str | None) -> Tensor:
    """The first-order part of :meth:`BaseExplainingHead.evidence`, (B, 1,
    heads, H, W), of one class (B, 1)."""
    every = torch.arange(head.num_classes, device=classes.device)
    every = every.expand(len(classes), -1)
    sides = [(classes, torch.ones_like(classes, dtype=torch.float))]
    if isinstance(against, Tensor):
        sides.append((against, -sides[0][1]))
    elif against is not None:
        logits = decoded.logits.detach().scatter(1, classes, -torch.inf)
        sides.append((every, -logits.softmax(1)))
    total = 0
    for of, share in sides:
        maps = head.maps(decoded, of).detach().requires_grad_()
        logits = head.rescore(decoded, maps, of)  # (B, K)
        gradient, = torch.autograd.grad(logits.sum(), maps)
        maps = maps.detach()
        shared = (maps * gradient).sum((-2, -1), keepdim=True)
        evidence = maps * (gradient - shared)
        share = share[..., None, None, None]
        total = total + (share * evidence).sum(1, keepdim=True)
    return total


@TASK_UTILS.register_module()
class RandomExplainer(AttentionExplainer):
    """Chance: even noise on the cells that attention has.

    The noise of an image depends on its pixels and the seed alone.

    Args:
        seed: Seed of the noise.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed

    def names(self, model: nn.Module) -> list[str]:
        """See :class:`BaseExplainer`."""
        return ['chance']

    def __call__(self, model: nn.Module, inputs: Sequence[Tensor],
                 classes: Tensor) -> list[Explanation]:
        """See :class:`BaseExplainer`."""
        explained = super().__call__(model, inputs, classes)
        for explanation, image in zip(explained, inputs):
            rng = image_rng(image, self.seed)
            explanation.maps = rng.random(
                explanation.maps.shape, dtype=np.float32)
        return explained


def image_rng(image: Tensor, seed: int) -> np.random.Generator:
    """Random numbers that depend on an image and a seed, not on the image's
    place in a batch."""
    pixels = zlib.crc32(np.ascontiguousarray(image.cpu().numpy()))
    return np.random.default_rng([pixels, seed])
