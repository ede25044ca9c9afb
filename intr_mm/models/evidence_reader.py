import torch
import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.models import CutMix
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from .base_head import BaseExplainingHead
from .evidence_head import EvidenceHead
from .utils import last_of


@MODELS.register_module()
class EvidenceReader(EvidenceHead):
    """An evidence head that reads what another head has shaped.

    A head that decides and trains the features too moves evidence to cells
    where it should not be. This one passes no gradient to the features;
    another head, trained on them beside it or before, has to make them good.

    Args:
        auxiliary: Config of that other head.
        auxiliary_neck: Config of a neck before ``auxiliary``, as pooling.
        distill: Whether ``auxiliary`` is trained already and stays as it is,
            and its predictions are learned instead of the labels. A checkpoint
            of the model that it comes from can be loaded as it is. Predictions
            then carry its label as ``teacher_label``.
        temperature: Divides the logits of both before they are compared, as in
            `Distilling the Knowledge in a Neural Network
            <https://arxiv.org/abs/1503.02531>`_: above 1, what the other head
            thinks of the less likely classes counts more. It matters where
            that head is all but certain of the images it was trained on.
        cutmix: With ``distill``, a batch is also learned from with a rectangle
            of each feature map pasted over by another image's, `CutMix
            <https://arxiv.org/abs/1905.04899>`_ of features. The other head is
            asked about these too, of which it is less certain. This is its
            ``alpha``, 1 for rectangles of all sizes alike. None leaves it out.
        **kwargs: Those of :class:`EvidenceHead`.
    """

    def __init__(self,
                 auxiliary: dict,
                 auxiliary_neck: dict | None = None,
                 distill: bool = False,
                 temperature: float = 1.,
                 cutmix: float | None = None,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        if not temperature > 0:
            raise ValueError('EvidenceReader needs a temperature above 0, got '
                             f'{temperature}.')
        if cutmix is not None and not (distill and cutmix > 0):
            raise ValueError(
                'EvidenceReader needs distill=True and a number above 0 for '
                f'cutmix, got distill={distill} and cutmix={cutmix}.')
        self.temperature = temperature
        self.cutmix = cutmix and CutMix(cutmix)
        self.auxiliary = MODELS.build(auxiliary)
        if getattr(self.auxiliary, 'multi_label', False):
            raise ValueError(
                'EvidenceReader learns which one class is true, but '
                f'{type(self.auxiliary).__name__} lets several be: give an '
                'INTRHead as auxiliary.')
        self.auxiliary_neck = auxiliary_neck and MODELS.build(auxiliary_neck)
        self.distill = distill
        self._teacher_is_loaded = False
        if distill:
            self.auxiliary.requires_grad_(False)

    def train(self, mode: bool = True) -> 'EvidenceReader':
        """Set the mode; a head to learn from stays in eval mode."""
        super().train(mode)
        if self.distill:
            self.auxiliary.eval()
        return self

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """See :class:`BaseExplainingHead`."""
        if self.training:
            feats = (last_of(feats).detach(), )
        return super().pre_logits(feats)

    def loss(self,
             feats: tuple[Tensor, ...],
             data_samples: list[DataSample],
             padding_mask: Tensor | None = None,
             **kwargs) -> dict[str, Tensor]:
        """Losses of this head, and of the auxiliary one if it is trained."""
        if not self.distill:
            losses = super().loss(feats, data_samples, padding_mask, **kwargs)
            feats, sizes = self._auxiliary_input(feats, padding_mask)
            others = self.auxiliary.loss(feats, data_samples, **sizes)
            for name, value in others.items():
                losses[f'auxiliary_{name}'] = value
            return losses
        if not self._teacher_is_loaded:
            raise RuntimeError(
                'EvidenceReader learns from a trained model, but none was '
                'loaded: set load_from=CHECKPOINT.')
        if self.cutmix is not None:
            feats, padding_mask = self._with_pasted(feats, padding_mask)
        decoded, mass = self._decode(self.pre_logits(feats), padding_mask)
        with torch.no_grad():
            teacher = self._ask_auxiliary(feats, padding_mask)
            teacher = (teacher / self.temperature).softmax(-1)
        loss = F.cross_entropy(decoded.logits / self.temperature, teacher)
        # gradients of one size at all temperatures
        losses = dict(loss=loss * self.temperature**2)
        if self.mass_weight:
            losses.update(self._loss_mass(decoded, mass, teacher.argmax(1)))
        return losses

    def _with_pasted(
            self, feats: tuple[Tensor, ...], padding_mask: Tensor | None
    ) -> tuple[tuple[Tensor], Tensor | None]:
        """A batch, and it again with parts pasted over: (2 * B, ...)."""
        planes = last_of(feats)  # (B, C_in, H, W)
        if padding_mask is not None:
            planes = torch.cat((planes, padding_mask[:, None].to(planes)), 1)
        # which is done in place, and mixes labels too
        pasted, _ = self.cutmix.mix(planes.clone(),
                                    planes.new_zeros(len(planes), 1))
        both = torch.cat((planes, pasted))
        if padding_mask is None:
            return (both, ), None
        return (both[:, :-1], ), both[:, -1].bool()

    def predict(self,
                feats: tuple[Tensor, ...],
                data_samples: list[DataSample | None] | None = None,
                padding_mask: Tensor | None = None,
                **kwargs) -> list[DataSample]:
        """See :class:`BaseExplainingHead`; adds ``teacher_label`` (1, ) where
        the head learns from another."""
        samples = super().predict(feats, data_samples, padding_mask, **kwargs)
        if self.distill:
            labels = self._ask_auxiliary(feats, padding_mask).argmax(1)
            for sample, label in zip(samples, labels[:, None]):
                sample.set_field(label, 'teacher_label')
        return samples

    def take_teacher(self, state_dict: dict[str, Tensor],
                     model: nn.Module) -> None:
        """Let a checkpoint of the model to learn from be loaded.

        Args:
            state_dict: Weights for ``model``; those of another head are
                renamed in place to be the auxiliary's.
            model: The classifier with this head.

        Raises:
            ValueError: If a weight that is not trained is missing.
        """
        if not any(name.startswith('head.auxiliary.') for name in state_dict):
            moved = [('head.', 'head.auxiliary.')]
            if not model.with_neck:
                moved.append(('neck.', 'head.auxiliary_neck.'))
            for old, new in moved:
                for name in [n for n in state_dict if n.startswith(old)]:
                    state_dict[new + name[len(old):]] = state_dict.pop(name)
        parts = ('head.auxiliary', *(f'{part}.' for part in model.frozen))
        own = model.state_dict()
        for name in state_dict:
            if name.startswith(parts) and name not in own:
                raise ValueError(
                    f"The checkpoint has '{name}', for which the model has no "
                    'place: use the config it was trained with.')
        for name, value in own.items():
            if name.startswith(parts) and (name not in state_dict
                                           or state_dict[name].shape
                                           != value.shape):
                raise ValueError(
                    f"The checkpoint has no '{name}' of shape "
                    f'{tuple(value.shape)}: give one of the model that the '
                    'EvidenceReader shall explain.')
        self._teacher_is_loaded = True

    def convert(self, dtype: torch.dtype) -> None:
        """See :class:`BaseExplainingHead`."""
        super().convert(dtype)
        if self.auxiliary_neck is not None:
            self.auxiliary_neck.to(dtype)
        if isinstance(self.auxiliary, BaseExplainingHead):
            self.auxiliary.convert(dtype)
        else:
            self.auxiliary.to(dtype)

    def _auxiliary_input(self, feats, padding_mask: Tensor | None):
        if self.auxiliary_neck is not None:
            feats = self.auxiliary_neck(feats)
        takes_mask = isinstance(self.auxiliary, BaseExplainingHead)
        return feats, dict(padding_mask=padding_mask) if takes_mask else {}

    def _ask_auxiliary(self, feats, padding_mask: Tensor | None) -> Tensor:
        feats, sizes = self._auxiliary_input(feats, padding_mask)
        return self.auxiliary(feats, **sizes)
