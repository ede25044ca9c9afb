from collections.abc import Sequence

import torch
from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from intr_mm.checkpoints import adapt_foreign
from ..necks import INTREncoder
from ..utils import make_padding_mask, split_batch


@MODELS.register_module()
class INTRClassifier(ImageClassifier):
    """Image classifier that carries padding masks and gives attention.

    It behaves as :class:`mmpretrain.models.ImageClassifier`, and takes images
    of different sizes in one batch: the sizes that
    :class:`INTRDataPreprocessor` records become the padding mask of neck and
    head. Weights of DETR and of the official INTR code are renamed when they
    are loaded, see :func:`intr_mm.checkpoints.adapt_foreign`.

    Args:
        backbone: Config of the backbone.
        neck: Config of the neck, usually :class:`INTREncoder`.
        head: Config of an :class:`INTRHead`.
        test_cfg: ``attention=dict(classes=..., layer=-1)`` makes predictions
            carry attention maps, for evaluators that need them; see
            :meth:`INTRHead.predict`.
        data_preprocessor: Config of the preprocessor; its type defaults to
            :class:`INTRDataPreprocessor`.
        **kwargs: Other arguments of ``ImageClassifier``.
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict | None = None,
                 head: dict | None = None,
                 test_cfg: dict | None = None,
                 data_preprocessor: dict | None = None,
                 **kwargs) -> None:
        if data_preprocessor is None or isinstance(data_preprocessor, dict):
            data_preprocessor = dict(data_preprocessor or {})
            data_preprocessor.setdefault('type', 'INTRDataPreprocessor')
        super().__init__(
            backbone,
            neck=neck,
            head=head,
            data_preprocessor=data_preprocessor,
            **kwargs)
        self.test_cfg = test_cfg or {}
        self._register_load_state_dict_pre_hook(self._take_foreign_weights)

    def _take_foreign_weights(self, state_dict: dict, prefix: str, *_) -> None:
        """Let weights of DETR and of the official code be loaded as they are,
        as by ``get_model(..., pretrained=...)``."""
        foreign = None if prefix else adapt_foreign(state_dict, self)
        if foreign is not None:
            foreign.log()
            state_dict.clear()
            state_dict.update(foreign.state_dict)

    def forward(self,
                inputs: Tensor,
                data_samples: list[DataSample] | None = None,
                mode: str = 'tensor'):
        """The unified entry; see ``ImageClassifier.forward``.

        Args:
            inputs: Normalised and padded images, (B, 3, H, W).
            data_samples: Labels and sizes.
            mode: ``'tensor'``, ``'loss'`` or ``'predict'``.

        Returns:
            Logits (B, C), a dict of losses, or a list of data samples.
        """
        if mode == 'tensor' and self.with_head:
            logits = []
            for images, samples in self._parts(inputs, data_samples):
                feats, mask = self._extract(images, samples)
                logits.append(self.head(feats, padding_mask=mask))
            return torch.cat(logits)
        return super().forward(inputs, data_samples, mode=mode)

    def extract_feat(self,
                     inputs: Tensor,
                     stage: str = 'neck',
                     data_samples: list[DataSample] | None = None):
        """Extract features; see ``ImageClassifier.extract_feat``.

        Args:
            inputs: Normalised and padded images, (B, 3, H, W).
            stage: ``'backbone'``, ``'neck'`` or ``'pre_logits'``.
            data_samples: Sizes of the images.

        Returns:
            tuple[Tensor] | Tensor: Features of the stage.
        """
        if stage == 'neck':
            return self._extract(inputs, data_samples)[0]
        if stage == 'pre_logits':
            return self.head.pre_logits(self._extract(inputs, data_samples)[0])
        return super().extract_feat(inputs, stage=stage)

    def loss(self, inputs: Tensor, data_samples: list[DataSample]) -> dict:
        """Losses of a batch.

        Args:
            inputs: Normalised and padded images, (B, 3, H, W).
            data_samples: Labels and sizes.

        Returns:
            The loss components.
        """
        feats, mask = self._extract(inputs, data_samples)
        return self.head.loss(feats, data_samples, padding_mask=mask)

    def predict(self,
                inputs: Tensor,
                data_samples: list[DataSample] | None = None,
                **kwargs) -> list[DataSample]:
        """Predictions of a batch, with attention if ``test_cfg`` asks.

        Args:
            inputs: Normalised and padded images, (B, 3, H, W).
            data_samples: Labels and sizes.
            **kwargs: Passed to :meth:`INTRHead.predict`.

        Returns:
            See :meth:`INTRHead.predict`.
        """
        kwargs.setdefault('attention', self.test_cfg.get('attention'))
        results = []
        for images, samples in self._parts(inputs, data_samples):
            feats, mask = self._extract(images, samples)
            results += self.head.predict(
                feats, samples, padding_mask=mask, **kwargs)
        return results

    def get_attention(self,
                      inputs: Tensor,
                      data_samples: list[DataSample] | None = None,
                      classes: Tensor | Sequence[int] | None = None,
                      layer: int = -1,
                      deciding_only: bool = False) -> Tensor:
        """Cross-attention weights: where classes look.

        Args:
            inputs: Normalised and padded images, (B, 3, H, W).
            data_samples: Sizes of the images.
            classes: K class indices, the same for all images, or (B, K) of
                them. None means all.
            layer: Decoder layer. -1 means the last.
            deciding_only: Whether to give, of each class, only the map of the
                query that decided its score.

        Returns:
            float32 of shape (B, K, heads, h, w) on the h x w feature grid of
            the padded batch; (B, K, k, heads, h, w) with all k > 1 queries per
            class. Each map sums to 1 and is exactly 0 where a cell is padding.
        """
        feats, mask = self._extract(inputs, data_samples)
        return self.head.get_attention(
            feats,
            classes=classes,
            layer=layer,
            padding_mask=mask,
            deciding_only=deciding_only)

    def _parts(self, inputs: Tensor, data_samples: list[DataSample] | None):
        """The batch in parts, of which no image needs another."""
        # Batch normalisation may be in training without gradients.
        if self.training:
            return [(inputs, data_samples)]
        return split_batch(inputs, data_samples)

    def _extract(
        self, inputs: Tensor, data_samples: list[DataSample] | None
    ) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Features for the head and the padding mask on their grid."""
        feats = self.backbone(inputs)
        takes_mask = isinstance(self.neck, INTREncoder)
        if self.with_neck and not takes_mask:
            feats = self.neck(feats)
        last = feats if isinstance(feats, Tensor) else feats[-1]
        mask = make_padding_mask(data_samples, last)
        if takes_mask:
            feats = self.neck(feats, padding_mask=mask)
        return feats, mask
