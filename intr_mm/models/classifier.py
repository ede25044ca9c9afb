from collections.abc import Sequence

import torch
import torch.nn as nn
from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from intr_mm.checkpoints import adapt_foreign
from .base_head import BaseExplainingHead, Decoded
from .encoder import INTREncoder
from .evidence_head import EvidenceHead
from .feature_cache import FeatureCache
from .padding import (image_shapes, pad_maps, padding_of, places_by_shape,
                      shapes_alone)
from .utils import is_exporting, last_of


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
            :class:`BaseExplainingHead`, whose ``test_cfg`` it becomes.
        data_preprocessor: Config of the preprocessor; its type defaults to
            :class:`INTRDataPreprocessor`.
        channels_last: Whether the backbone's weights lie channels-last in
            memory, which is faster for convolutions and computes the same.
            Not done where a 1x1 convolution with strides has fewer than 16
            channels, whose training PyTorch lets write beyond its memory.
        frozen: Which of ``'backbone'`` and ``'neck'`` are not trained and stay
            in eval mode.
        pad_after_backbone: Whether the backbone sees each image without the
            padding of its batch, and its feature maps are padded instead. What
            is predicted of an image then depends on no other, and padding
            costs nothing in the backbone. The official code pads the images.
        feature_cache: Folder in which feature maps of a frozen backbone are
            kept, see :class:`FeatureCache`. None keeps none.
        **kwargs: Other arguments of ``ImageClassifier``.
    """
    # What the backbone takes at a time on a CPU: one image of 800x1066, two of
    # 448x448, ten of 224x224, which lay around the optimum with 16 MiB of
    # last-level cache for each core.
    pixels_at_once = 2**19

    def __init__(self,
                 backbone: dict,
                 neck: dict | None = None,
                 head: dict | None = None,
                 test_cfg: dict | None = None,
                 data_preprocessor: dict | None = None,
                 channels_last: bool = False,
                 frozen: Sequence[str] = (),
                 pad_after_backbone: bool = False,
                 feature_cache: str | None = None,
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
        if test_cfg and isinstance(self.head, BaseExplainingHead):
            self.head.test_cfg.update(test_cfg)
            for request in test_cfg.values():
                if request is not None:
                    self.head.check_request(**request)
        if channels_last and not _is_narrow(self.backbone):
            self.backbone.to(memory_format=torch.channels_last)
        self.frozen = tuple(frozen)
        for name in self.frozen:
            if name not in ('backbone', 'neck'):
                raise ValueError(
                    f'INTRClassifier cannot freeze {name!r}: name '
                    "'backbone', 'neck' or both.")
        for part in self._frozen_parts():
            part.requires_grad_(False)
        self.pad_after_backbone = pad_after_backbone
        if pad_after_backbone and self.with_neck and not isinstance(
                self.neck, INTREncoder):
            raise ValueError(
                'INTRClassifier pads after the backbone for an INTREncoder or '
                f'no neck, but has {type(self.neck).__name__}: set '
                'pad_after_backbone=False.')
        self.feature_cache = None
        if feature_cache is not None:
            if not pad_after_backbone or 'backbone' not in self.frozen:
                raise ValueError(
                    f"INTRClassifier keeps features in '{feature_cache}' of "
                    'images that depend on no other, from a backbone that is '
                    "not trained: set pad_after_backbone=True and frozen="
                    "('backbone', ) too.")
            # Weights count by their values, wherever they came from.
            if isinstance(backbone, dict):
                backbone = {
                    name: value
                    for name, value in backbone.items() if name != 'init_cfg'
                }
            self.feature_cache = FeatureCache(feature_cache, str(backbone))
        self._register_load_state_dict_pre_hook(self._take_foreign_weights)

    def train(self, mode: bool = True) -> 'INTRClassifier':
        """Set the mode; frozen parts stay in eval mode."""
        super().train(mode)
        for part in self._frozen_parts():
            part.eval()
        return self

    def _frozen_parts(self) -> list[nn.Module]:
        parts = (getattr(self, name, None) for name in self.frozen)
        return [part for part in parts if part is not None]

    def _take_foreign_weights(self, state_dict: dict, prefix: str, *_) -> None:
        """Let weights of DETR and of the official code be loaded as they are,
        as by ``get_model(..., pretrained=...)``."""
        foreign = None if prefix else adapt_foreign(state_dict, self)
        if foreign is not None:
            foreign.log()
            state_dict.clear()
            state_dict.update(foreign.state_dict)
        if not prefix and getattr(self.head, 'distill', False):
            self.head.take_teacher(state_dict, self)

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
            feats, mask, _ = self.extract(inputs, data_samples)
            return self.head(feats, padding_mask=mask)
        return super().forward(inputs, data_samples, mode=mode)

    def extract_feat(self,
                     inputs: Tensor,
                     stage: str = 'neck',
                     data_samples: list[DataSample] | None = None):
        """Features of a stage; see ``ImageClassifier.extract_feat``.

        Args:
            inputs: Normalised and padded images, (B, 3, H, W).
            stage: ``'backbone'``, ``'neck'`` or ``'pre_logits'``.
            data_samples: Sizes of the images.
        """
        if stage == 'backbone':
            return self._run_backbone(inputs)
        feats, *_ = self.extract(inputs, data_samples)
        if stage == 'pre_logits':
            return self.head.pre_logits(feats)
        return feats

    def loss(self, inputs: Tensor,
             data_samples: list[DataSample]) -> dict[str, Tensor]:
        """Losses of a batch of normalised and padded images (B, 3, H, W)."""
        feats, mask, _ = self.extract(inputs, data_samples, store=True)
        return self.head.loss(feats, data_samples, padding_mask=mask)

    def predict(self,
                inputs: Tensor,
                data_samples: list[DataSample] | None = None,
                **kwargs) -> list[DataSample]:
        """Predictions of a batch; see :meth:`BaseExplainingHead.predict`.

        Args:
            inputs: Normalised and padded images, (B, 3, H, W).
            data_samples: Labels and sizes.
            **kwargs: Passed to the head, such as ``attention``.
        """
        asks = 'attention' in kwargs or getattr(self.head, 'test_cfg', None)
        feats, mask, mixing = self.extract(
            inputs, data_samples, mixing=bool(asks), store=True)
        if mixing:
            kwargs['mixing'] = mixing
        return self.head.predict(
            feats, data_samples, padding_mask=mask, **kwargs)

    def get_attention(self,
                      inputs: Tensor,
                      data_samples: list[DataSample] | None = None,
                      classes: Tensor | Sequence[int] | None = None,
                      layer: int = -1,
                      deciding_only: bool = False) -> Tensor:
        """Where classes look; see :meth:`BaseExplainingHead.get_attention`.

        Args:
            inputs: Normalised and padded images, (B, 3, H, W).
            data_samples: Sizes of the images.
            classes: K class indices, the same for all images, or (B, K) of
                them. None means all.
            layer: Decoder layer.
            deciding_only: Whether to give, of each class, only the map of the
                query that decided its score.

        Returns:
            float32 of shape (B, K, heads, h, w) on the h x w feature grid of
            the padded batch; (B, K, k, heads, h, w) with all k > 1 queries
            per class.
        """
        feats, mask, _ = self.extract(inputs, data_samples)
        return self.head.get_attention(
            feats,
            classes=classes,
            layer=layer,
            padding_mask=mask,
            deciding_only=deciding_only)

    def get_evidence(
            self,
            inputs: Tensor,
            data_samples: list[DataSample] | None = None,
            classes: Tensor | Sequence[int] | None = None,
            against: Tensor | Sequence[int] | str | None = None) -> Tensor:
        """What each cell speaks for classes; see
        :meth:`EvidenceHead.get_evidence`.

        Args:
            inputs: Normalised and padded images, (B, 3, H, W).
            data_samples: Sizes of the images.
            classes: K class indices, the same for all images, or (B, K) of
                them. None means all.
            against: None for the logits; classes (K, ) or (B, K) for the
                differences to theirs; ``'rest'`` for those to the others'
                weighted mean.

        Returns:
            float32 of shape (B, K, heads, h, w) on the h x w feature grid of
            the padded batch, whose sums over heads and cells are the logits or
            differences.

        Raises:
            TypeError: If the head is no :class:`EvidenceHead`.
        """
        if not isinstance(self.head, EvidenceHead):
            raise TypeError(
                f'get_evidence needs an EvidenceHead, but the model has '
                f'{type(self.head).__name__}: take EvidenceExplainer for an '
                'estimate.')
        feats, mask, mixing = self.extract(inputs, data_samples, mixing=True)
        return self.head.get_evidence(
            feats,
            classes=classes,
            against=against,
            padding_mask=mask,
            mixing=mixing)

    def extract(
        self,
        inputs: Tensor,
        data_samples: list[DataSample] | None,
        mixing: bool = False,
        store: bool = False
    ) -> tuple[tuple[Tensor, ...], Tensor | None, Sequence[Tensor]]:
        """What the head takes.

        Args:
            inputs: Normalised and padded images, (B, 3, H, W).
            data_samples: Sizes of the images. They receive the metainfo
                ``traced``: height and width of what the backbone saw of an
                image, and of its feature map.
            mixing: Whether to ask the encoder, for a head that gives evidence.
            store: Whether a feature cache may take in what is new to it.

        Returns:
            Features, the padding mask (B, h, w) on their grid, and of each
            layer how much of a token comes from each cell, see
            :class:`INTREncoder`.
        """
        feats, mask = self.padded_maps(inputs, data_samples, store)
        return self.encode(feats, mask, mixing)

    def padded_maps(
        self,
        inputs: Tensor,
        data_samples: list[DataSample] | None,
        store: bool = False
    ) -> tuple[Sequence[Tensor] | Tensor, Tensor | None]:
        """Feature maps before the :class:`INTREncoder`, and the padding mask
        (B, h, w) on their grid; see :meth:`extract`."""
        # Lists of sizes would fix them in what is exported.
        if data_samples is None and is_exporting():
            return self.feature_maps(inputs), None
        shapes = image_shapes(data_samples)
        padded = tuple(inputs.shape[-2:])
        seen = [padded] * len(inputs)
        if self.pad_after_backbone and shapes is not None:
            seen = shapes_alone(shapes, self.data_preprocessor)
        # Gradients of the images need the backbone itself, and images on the
        # meta device have no pixels to be found by.
        cache = self.feature_cache
        if inputs.requires_grad or inputs.is_meta:
            cache = None
        if len(set(seen)) == 1 and cache is None:
            feats = self.feature_maps(inputs)  # last: (B, C_in, h, w)
            last = last_of(feats)
            grids = [tuple(last.shape[-2:])] * len(inputs)
        else:
            alone = [
                image[:, :height, :width]
                for image, (height, width) in zip(inputs, seen)
            ]
            if cache is None:
                maps = self._run_alone(alone)
            else:
                maps = cache.get(self.backbone, alone, self._run_alone, store)
                self._show_hooks(set(seen))
            grids = [tuple(of_image.shape[-2:]) for of_image in maps]
            last = pad_maps(maps)
            feats = (last, )
        mask = None if shapes is None else padding_of(shapes, seen, grids,
                                                      last)
        for sample, *traced in zip(data_samples or (), seen, grids):
            if sample is not None:
                sample.set_metainfo(dict(traced=traced))
        return feats, mask

    def decode(self,
               inputs: Tensor,
               data_samples: list[DataSample] | None,
               layers: Sequence[int] = (),
               maps: bool = False) -> Decoded:
        """What the head finds out about a batch.

        Args:
            inputs: Normalised and padded images, (B, 3, H, W).
            data_samples: See :meth:`extract`.
            layers: Decoder layers whose maps can be asked for afterwards.
            maps: Whether they will be: heads that give evidence need more.
        """
        feats, mask, shares = self.extract(inputs, data_samples, mixing=maps)
        decoded = self.head.decode(self.head.pre_logits(feats), mask, layers)
        decoded.mixing = shares
        return decoded

    def feature_maps(self, inputs: Tensor):
        """Features of images (B, 3, H, W) before the :class:`INTREncoder`."""
        feats = self._run_backbone(inputs)
        if self.with_neck and not isinstance(self.neck, INTREncoder):
            feats = self.neck(feats)
        return feats

    def encode(
        self, feats, mask: Tensor | None, mixing: bool
    ) -> tuple[tuple[Tensor, ...], Tensor | None, Sequence[Tensor]]:
        """What the head takes, see :meth:`extract`, of :meth:`feature_maps`
        and the padding mask (B, h, w) on their grid."""
        shares = ()
        if isinstance(self.neck, INTREncoder):
            if mixing and getattr(self.head, 'gives_evidence', False):
                feats, shares = self.neck(
                    feats, padding_mask=mask, mixing=True)
            else:
                feats = self.neck(feats, padding_mask=mask)  # (B, D, h, w)
        return feats, mask, shares

    def _show_hooks(self, shapes: set[tuple[int, int]]) -> None:
        """Let who follows the cells through the backbone do so where its maps
        were not computed: shapes need no numbers."""
        if self.backbone._forward_pre_hooks:
            weights = self.backbone.state_dict()
            weights = {name: w.to('meta') for name, w in weights.items()}
            for height, width in shapes:
                image = torch.empty(1, 3, height, width, device='meta')
                functional_call(self.backbone, weights, (image, ))

    def _run_alone(self, images: Sequence[Tensor]) -> list[Tensor]:
        """The backbone's last map (C_in, h, w) of each image (3, H, W), those
        of one size together."""
        groups = places_by_shape([image.shape for image in images])
        if len(groups) > 1 and any(
                isinstance(part, _BatchNorm) and part.training
                for part in self.backbone.modules()):
            raise ValueError(
                'INTRClassifier pads after the backbone, which sees images of '
                'one size at a time, but its batch normalisation takes the '
                'statistics of the whole batch: set backbone.norm_eval=True, '
                'or pad_after_backbone=False.')
        maps = [None] * len(images)
        for places in groups.values():
            feats = self._run_backbone(
                torch.stack([images[place] for place in places]))
            last = last_of(feats)
            if last.dim() != 4:
                raise ValueError(
                    'INTRClassifier pads feature maps (B, C, H, W), but '
                    f'{type(self.backbone).__name__} gives the shape '
                    f"{tuple(last.shape)}: set out_type='featmap' on it, or "
                    'pad_after_backbone=False.')
            for place, of_image in zip(places, last):
                maps[place] = of_image
        return maps

    def _run_backbone(self, inputs: Tensor):
        if ('backbone' in self.frozen and torch.is_grad_enabled()
                and not inputs.requires_grad):
            with torch.no_grad():
                return self._run_backbone(inputs)
        # Where a CPU predicts, activations of few images stay in its cache
        # from one operation to the next. Batch normalisation may be in
        # training without gradients.
        if (self.backbone.training or inputs.device.type != 'cpu'
                or torch.is_grad_enabled() or is_exporting()):
            return self.backbone(inputs)
        images = max(1, self.pixels_at_once // inputs[0, 0].numel())
        parts = [self.backbone(part) for part in inputs.split(images)]
        if len(parts) == 1:
            return parts[0]
        if isinstance(parts[0], Tensor):
            return torch.cat(parts)
        return tuple(torch.cat(maps) for maps in zip(*parts))


def _is_narrow(backbone: nn.Module) -> bool:
    """Whether training in channels-last would corrupt memory: so it is with
    PyTorch 2.11 (oneDNN) on CPUs with AVX-512, by more than one thread."""
    return any(
        isinstance(part, nn.Conv2d) and part.kernel_size == (
            1, 1) and part.stride != (1, 1) and part.in_channels < 16
        for part in backbone.modules())
