from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral

import torch
from mmpretrain.models.heads import ClsHead
from mmpretrain.structures import DataSample
from torch import Tensor

from .padding import cut_padding
from .utils import class_index, select_classes


@dataclass
class Decoded:
    """What a head finds out about a batch, and all that its maps need.

    Args:
        logits: Shape (B, C).
        memory: What the classes look at, (B, D, H, W).
        padding_mask: Bool of shape (B, H, W), True where a cell is padding;
            None if none is.
        deciding: Which query decided each class's score, (B, C).
        attending: For each layer asked for, from 0 on, the queries (B, Q, D)
            as they enter its cross-attention, where a head has such.
        mixing: Of each layer of the encoder, how much of each token comes from
            each cell, (B, HW, HW), where the neck says so.
    """
    logits: Tensor
    memory: Tensor
    padding_mask: Tensor | None
    deciding: Tensor
    attending: dict[int, Tensor] = field(default_factory=dict)
    mixing: Sequence[Tensor] = ()


class BaseExplainingHead(ClsHead):
    """A head that scores classes and says where each of them looked.

    Hook, inferencer, explainers and metrics work with every head that fills
    in :meth:`pre_logits`, :meth:`decode` and :meth:`maps`; those that change
    attention and look at the scores need :meth:`rescore` too. A head whose
    scores are sums over cells says so by ``gives_evidence`` and fills in
    :meth:`evidence`, which is then shown in place of attention.

    Subclasses set the attributes ``num_classes``, ``num_layers`` (decoder
    layers that have maps) and ``num_heads`` (attention heads, maps of a class
    in a layer), and ``queries_per_class`` where a class has several. Arguments
    that change scores but no shape of a weight stand in ``untold_settings``,
    and in attributes of their names: a checkpoint is refused that was trained
    with others.

    Args:
        test_cfg: Maps that predictions shall carry: each entry is a request
            ``dict(classes=..., layer=...)``, see :meth:`add_maps`, and fills
            the field of its name. ``attention`` is the one that metrics read.
        **kwargs: Those of :class:`mmpretrain.models.ClsHead`.
    """
    num_classes: int
    num_layers: int
    num_heads: int
    queries_per_class = 1
    gives_evidence = False
    multi_label = False
    untold_settings = ('num_heads', 'queries_per_class')

    def __init__(self, test_cfg: dict | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.test_cfg = dict(test_cfg or {})

    @abstractmethod
    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """The memory (B, D, H, W) that the classes look at, of feature maps
        of which the last one has shape (B, C_in, H, W)."""

    @abstractmethod
    def decode(
            self,
            memory: Tensor,
            padding_mask: Tensor | None = None,
            layers: Sequence[int] = (),
    ) -> Decoded:
        """Score every class.

        Args:
            memory: Shape (B, D, H, W).
            padding_mask: Bool of shape (B, H, W), True where a cell is
                padding. None means that none is.
            layers: Decoder layers, from 0 on or from -1 back, whose maps can
                be asked for afterwards.

        Raises:
            IndexError: If there is no such layer.
        """

    @abstractmethod
    def maps(self,
             decoded: Decoded,
             classes: Tensor | None = None,
             layer: int = -1) -> Tensor:
        """Where classes look.

        Args:
            decoded: From :meth:`decode`, with the layer.
            classes: Class indices (B, K), of each of which the query that
                decided its score is asked. None asks all Q queries.
            layer: Decoder layer.

        Returns:
            float32 of shape (B, K or Q, heads, H, W). Each map sums to 1, or
            less where a head can look at nothing, and is exactly 0 where a
            cell is padding.
        """

    def evidence(self,
                 decoded: Decoded,
                 classes: Tensor,
                 against: Tensor | str | None = None) -> Tensor:
        """What each cell speaks for or against classes.

        With ``decoded.mixing``, what a token speaks is handed back to the
        cells that it comes from.

        Args:
            decoded: From :meth:`decode`.
            classes: Class indices (B, K).
            against: None gives what makes up the class's logit. Class indices
                (B, K) give what makes up the difference to these classes'
                logits, ``'rest'`` that to the mean of all others', weighted by
                the softmax of their logits.

        Returns:
            float32 of shape (B, K, heads, H, W), whose sum over heads and
            cells is the logit, or the difference.
        """
        raise NotImplementedError(
            f'The scores of {type(self).__name__} are no sums over cells: '
            'take EvidenceHead for evidence, or EvidenceExplainer for an '
            'estimate.')

    def rescore(self,
                decoded: Decoded,
                maps: Tensor,
                classes: Tensor | None = None) -> Tensor:
        """Scores if the last layer's maps were others.

        Args:
            decoded: From :meth:`decode`, with the last layer.
            maps: Shape (B, K or Q, heads, H, W) as of :meth:`maps`; of one
                query, they serve all. Gradients flow back to them.
            classes: Class indices (B, K). None means all C classes, by their
                Q queries.

        Returns:
            Logits of shape (B, K), or (B, C).
        """
        raise NotImplementedError(
            f'{type(self).__name__} does not say how its scores follow from '
            'its maps: give it the method rescore, or leave out what needs '
            'it (EvenAttention, HeadSelection, EvidenceExplainer).')

    def layer_index(self, layer: int) -> int:
        """A decoder layer, given from 0 on or from -1 back, from 0 on.

        Raises:
            IndexError: If there is no such layer.
        """
        if (not isinstance(layer, Integral)
                or not -self.num_layers <= layer < self.num_layers):
            raise IndexError(
                f'layer={layer!r} is out of range for a decoder of '
                f'{self.num_layers} layers: choose one of the layers 0 to '
                f'{self.num_layers - 1}, or -1 for the last.')
        return layer % self.num_layers

    def check_request(self,
                      classes: Sequence[str | int],
                      layer: int | Sequence[int] = -1,
                      even: bool = False) -> None:
        """Refuse a request of maps, see :meth:`add_maps`, before there are
        images.

        Raises:
            ValueError: A class is not understood.
            IndexError: There is no such layer.
        """
        scores = torch.zeros(1, self.num_classes)
        select_classes(classes, scores, scores[:, :1].long())
        for index in _as_list(layer):
            self.layer_index(index)

    def to_scores(self, logits: Tensor) -> Tensor:
        """Scores of logits (B, C), each from 0 to 1."""
        return logits.softmax(-1)

    def best_queries(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The classes' logits (B, C), and which of the Q queries decided each,
        of the queries' scores (B, Q)."""
        logits, best = scores.unflatten(1, (self.num_classes, -1)).max(-1)
        classes = torch.arange(self.num_classes, device=best.device)
        return logits, classes * self.queries_per_class + best

    @property
    def can_rescore(self) -> bool:
        """Whether there is :meth:`rescore`."""
        return type(self).rescore is not BaseExplainingHead.rescore

    @staticmethod
    def even_maps(decoded: Decoded) -> Tensor:
        """Maps (B, 1, 1, H, W) of a head that looks evenly at all cells which
        are not padding."""
        memory, mask = decoded.memory, decoded.padding_mask
        even = memory.new_ones((memory.size(0), *memory.shape[-2:]),
                               dtype=torch.float32)
        if mask is not None:
            even = even.masked_fill(mask, 0)
        return (even / even.sum((1, 2), keepdim=True))[:, None, None]

    def rescore_even(self, decoded: Decoded) -> Tensor:
        """Logits (B, C) if all heads of the last layer looked evenly."""
        even = self.even_maps(decoded)
        return self.rescore(decoded, even.expand(-1, -1, self.num_heads, -1,
                                                 -1))

    def convert(self, dtype: torch.dtype) -> None:
        """Let the head compute in another type, for inference, but for what
        that would harm."""
        self.to(dtype)

    def memory_norms(self, memory: Tensor, layer: int = -1) -> Tensor:
        """How large is what the classes can take from each cell.

        Attention only weighs: a cell with a short value vector gives little,
        however much attention it gets (`Attention is Not Only a Weight
        <https://arxiv.org/abs/2004.10102>`_, EMNLP 2020).

        Args:
            memory: Shape (B, D, h, w), without cells that are padding.
            layer: Decoder layer.

        Returns:
            float32 of shape (B, 1 + heads, h, w): the Euclidean distance of
            the memory from its mean over the cells, and the norm of each
            attention head's value vectors. (The memory's own norm is all but
            fixed by the encoder's last LayerNorm.)
        """
        raise NotImplementedError(
            f'{type(self).__name__} has no value vectors to show: leave '
            '`memory` out.')

    def forward(self,
                feats: tuple[Tensor, ...],
                padding_mask: Tensor | None = None) -> Tensor:
        """Logits (B, C) of feature maps; see :meth:`decode`."""
        return self.decode(self.pre_logits(feats), padding_mask).logits

    def loss(self,
             feats: tuple[Tensor, ...],
             data_samples: list[DataSample],
             padding_mask: Tensor | None = None,
             **kwargs) -> dict[str, Tensor]:
        """Classification loss; see :meth:`ClsHead.loss`."""
        return self._get_loss(
            self(feats, padding_mask), data_samples, **kwargs)

    def predict(
        self,
        feats: tuple[Tensor, ...],
        data_samples: list[DataSample | None] | None = None,
        padding_mask: Tensor | None = None,
        attention: dict | None = None,
        mixing: Sequence[Tensor] = ()
    ) -> list[DataSample]:
        """Predict, and on request say where classes looked, in one pass.

        Args:
            feats: The last one has shape (B, C_in, H, W).
            data_samples: Filled and returned.
            padding_mask: Bool of shape (B, H, W).
            attention: Request of maps, see :meth:`add_maps`, instead of that
                of ``test_cfg``.
            mixing: See :class:`Decoded`.

        Returns:
            With ``pred_score`` (C, ), ``pred_label`` and the asked maps.
        """
        requests = self._standing_requests(data_samples)
        if attention is not None:
            requests['attention'] = attention
        layers = [
            layer for request in requests.values()
            for layer in _as_list(request.get('layer', -1))
        ]
        decoded = self.decode(self.pre_logits(feats), padding_mask, layers)
        decoded.mixing = mixing
        return self.predict_decoded(decoded, data_samples, requests)

    def _standing_requests(
            self, data_samples: list[DataSample | None] | None) -> dict:
        """Those of ``test_cfg`` that can be met: None takes back what a base
        config asks for, and no one knows the true class of a photo."""
        known = bool(data_samples) and all('gt_label' in (sample or ())
                                           for sample in data_samples)
        requests = {}
        for name, request in self.test_cfg.items():
            if request is None:
                continue
            classes = request['classes']
            if not known and not isinstance(classes, Tensor):
                classes = [item for item in classes if item != 'gt']
            if len(classes):
                requests[name] = dict(request, classes=classes)
        return requests

    def predict_decoded(
            self,
            decoded: Decoded,
            data_samples: list[DataSample | None] | None = None,
            requests: dict[str, dict] | None = None) -> list[DataSample]:
        """Predictions of what is decoded, with the maps that are asked for;
        see :meth:`predict`."""
        samples = self._get_predictions(decoded.logits, data_samples)
        for name, request in (requests or {}).items():
            self.add_maps(samples, decoded, name=name, **request)
        return samples

    def add_maps(self,
                 samples: list[DataSample],
                 decoded: Decoded,
                 classes: Sequence[str | int] | Tensor,
                 layer: int | Sequence[int] = -1,
                 even: bool = False,
                 name: str = 'attention') -> None:
        """Let predictions carry maps.

        Args:
            samples: Receive the fields ``{name}_classes`` (K, ) and ``{name}``
                (K, heads, h, w), on the h x w cells that are not padding; (L,
                K, heads, h, w) if ``layer`` is a sequence; from a head that
                gives it, ``{name}_evidence`` (K, heads, h, w). The metainfo
                ``grid`` is the (H, W) of the padded batch. Where several
                classes can be true, K differs among the samples.
            decoded: From :meth:`decode`, with the layers.
            classes: Indices (B, K), or see :func:`select_classes`.
            layer: Decoder layer, or L of them.
            even: Whether to add ``{name}_even`` (C, ), the scores if all heads
                of the last layer looked evenly, where a head can tell and the
                last layer is among ``layer``.
            name: Name of the field.
        """
        labels = None
        if all('gt_label' in sample for sample in samples):
            labels = [sample.gt_label for sample in samples]
        index = select_classes(classes, decoded.logits, labels,
                               [sample.pred_label for sample in samples])
        filled, index = index < 0, index.clamp(min=0)  # (B, K)
        maps = torch.stack(  # (B, L, K, heads, H, W)
            [self.maps(decoded, index, i) for i in _as_list(layer)], 1)
        if isinstance(layer, int):
            maps = maps[:, 0]
        fields = {
            f'{name}_classes': index,
            name: cut_padding(maps, decoded.padding_mask)
        }
        if self.gives_evidence:
            fields[f'{name}_evidence'] = cut_padding(
                self.evidence(decoded, index), decoded.padding_mask)
        if filled.any():
            kept = [(~of_image).nonzero()[:, 0] for of_image in filled]
            fields = {
                key: [
                    value.index_select(0 if value.dim() == 1 else -4, places)
                    for value, places in zip(values, kept)
                ]
                for key, values in fields.items()
            }
        asked = [self.layer_index(i) for i in _as_list(layer)]
        if even and self.can_rescore and self.num_layers - 1 in asked:
            fields[f'{name}_even'] = self.to_scores(self.rescore_even(decoded))
        for sample, *values in zip(samples, *fields.values()):
            sample.set_metainfo(dict(grid=tuple(maps.shape[-2:])))
            for field_name, value in zip(fields, values):
                sample.set_field(value, field_name)

    def get_attention(self,
                      feats: tuple[Tensor, ...],
                      classes: Tensor | Sequence[int] | None = None,
                      layer: int = -1,
                      padding_mask: Tensor | None = None,
                      deciding_only: bool = False) -> Tensor:
        """Where classes look, on the grid of the padded batch.

        Args:
            feats: The last one has shape (B, C_in, H, W).
            classes: K class indices, the same for all images, or (B, K) of
                them. None means all.
            layer: Decoder layer.
            padding_mask: Bool of shape (B, H, W), True where a cell is
                padding.
            deciding_only: Whether to give, of each class, only the map of the
                query that decided its score.

        Returns:
            float32 of shape (B, K, heads, H, W); (B, K, k, heads, H, W) with
            all k > 1 queries per class. Each map sums to 1 and is exactly 0
            where a cell is padding.
        """
        decoded = self.decode(self.pre_logits(feats), padding_mask, (layer, ))
        index = class_index(classes, self.num_classes, decoded.memory)
        if deciding_only or self.queries_per_class == 1:
            return self.maps(decoded, index, layer)
        # (B, C * k, heads, H, W) -> (B, C, k, heads, H, W)
        maps = self.maps(decoded, None, layer)
        maps = maps.unflatten(1, (-1, self.queries_per_class))
        images = torch.arange(index.size(0), device=index.device)[:, None]
        return maps[images, index]


def _as_list(layer: int | Sequence[int]) -> Sequence[int]:
    return [layer] if isinstance(layer, int) else layer
