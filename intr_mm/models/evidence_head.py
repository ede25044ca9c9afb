from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from .base_head import BaseExplainingHead, Decoded
from .utils import (check_sizes, check_split, class_index, last_feature_map,
                    without_autocast)

_VALUES = ('signed', 'paired', 'constant')
# Classes whose evidence is summed at once.
_CHUNK = 64


@MODELS.register_module()
class EvidenceHead(BaseExplainingHead):
    r"""Each class adds up what it finds: the map is the score.

    One query per class and attention head gives each cell i a weight
    :math:`a_{chi}`, a softmax over the cells and a *null cell*, which takes
    what the class does not find. Each cell has a value :math:`s_{hi}` that all
    classes share. The evidence :math:`a_{chi} s_{hi}`, summed over cells and
    heads, is the logit, so that a map of evidence leaves nothing out; nor does
    the difference of two, which says why the one class and not the other.

    What the encoder mixed into a token from other cells is handed back to them
    (see :meth:`INTREncoderLayer.forward_mixing`). That is an estimate where
    the sums are exact, so that a small ``INTREncoder(window_radius=1)`` keeps
    maps sharp.

    Sums of local evidence are from `BagNet
    <https://arxiv.org/abs/1904.00760>`_ and `Additive MIL
    <https://arxiv.org/abs/2206.01794>`_, class queries whose attention is the
    score from `SCOUTER <https://arxiv.org/abs/2009.06138>`_; `PixPNet
    <https://arxiv.org/abs/2309.14531>`_ says why fields must be small,
    `Registers <https://arxiv.org/abs/2309.16588>`_ why attention needs a place
    to look at nothing.

    Args:
        num_classes: Number of classes ``C``.
        embed_dims: Width ``D`` of the tokens.
        num_heads: Number of attention heads; must divide ``embed_dims``.
        in_channels: Channels of the incoming feature map, if the head shall
            bring it to ``embed_dims`` by a 1x1 convolution. None takes the map
            as it is.
        values: ``'signed'``: linear in the token; ``'paired'``: one positive
            constant for each of the first half of the heads and a negative one
            for the others, which then speak against their class;
            ``'constant'``: positive constants alone.
        value_scale: Initial size of the constants.
        gain: Factor of the queries' products with the cells.
        null_logit: Initial logit of the null cell.
        reader_channels: Hidden width of a perceptron that each token passes
            first. None leaves it out.
        mass_weight: Weight of the true class's mean found mass in the loss,
            which keeps its maps small.
        queries_per_class: Number of queries ``k`` of each class, in the rows
            ``c * k`` to ``c * k + k - 1`` of ``query_embed``; the best of them
            decides.
        loss: Config of the classification loss.
        **kwargs: ``test_cfg`` of :class:`BaseExplainingHead`, and ``topk``,
            ``cal_acc`` and ``init_cfg`` of :class:`mmpretrain.models.ClsHead`.
    """
    num_layers = 1
    gives_evidence = True
    untold_settings = (*BaseExplainingHead.untold_settings, 'values', 'gain')

    def __init__(self,
                 num_classes: int,
                 embed_dims: int = 256,
                 num_heads: int = 8,
                 in_channels: int | None = None,
                 values: str = 'signed',
                 value_scale: float = 10.,
                 gain: float = 1.,
                 null_logit: float = 5.,
                 reader_channels: int | None = None,
                 mass_weight: float = 0.,
                 queries_per_class: int = 1,
                 loss: dict = dict(type='CrossEntropyLoss', loss_weight=1.0),
                 **kwargs) -> None:
        super().__init__(loss=loss, **kwargs)
        check_sizes(
            'EvidenceHead',
            num_classes=num_classes,
            embed_dims=embed_dims,
            num_heads=num_heads,
            queries_per_class=queries_per_class)
        check_split(embed_dims, num_heads)
        if values not in _VALUES:
            raise ValueError(f'EvidenceHead got values={values!r}: use one of '
                             f"{', '.join(_VALUES)}.")
        if values == 'paired' and num_heads % 2:
            raise ValueError("EvidenceHead needs an even num_heads for values="
                             f"'paired', got {num_heads}.")
        self.num_classes = num_classes
        self.num_heads = num_heads
        self.queries_per_class = queries_per_class
        self.embed_dims = embed_dims
        self.in_channels = in_channels
        self.values = values
        self.gain = gain
        self.mass_weight = mass_weight
        self.input_proj = None
        if in_channels is not None:
            self.input_proj = nn.Conv2d(in_channels, embed_dims, 1)
        self.reader = None
        if reader_channels is not None:
            self.reader = nn.Sequential(
                nn.Linear(embed_dims, reader_channels), nn.ReLU(inplace=True),
                nn.Linear(reader_channels, embed_dims))
            self.norm = nn.LayerNorm(embed_dims)
        self.query_embed = nn.Embedding(num_classes * queries_per_class,
                                        embed_dims)
        self.key = nn.Linear(embed_dims, embed_dims)
        self.null = nn.Parameter(torch.full((num_heads, ), float(null_logit)))
        self.value = None
        if values == 'signed':
            self.value = nn.Linear(embed_dims, num_heads)
        else:
            # its logarithm, so that the sign stays
            self.log_value = nn.Parameter(
                torch.full((num_heads, ), float(value_scale)).log())
            sign = torch.ones(num_heads)
            if values == 'paired':
                sign[num_heads // 2:] = -1
            self.register_buffer('sign', sign, persistent=False)

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """See :class:`BaseExplainingHead`."""
        channels = self.in_channels or self.embed_dims
        x = last_feature_map(feats, channels, type(self).__name__)
        return x if self.input_proj is None else self.input_proj(x)

    def decode(
            self,
            memory: Tensor,
            padding_mask: Tensor | None = None,
            layers: Sequence[int] = (),
    ) -> Decoded:
        """See :class:`BaseExplainingHead`."""
        for layer in layers:
            self.layer_index(layer)
        return self._decode(memory, padding_mask)[0]

    def _decode(self, memory: Tensor,
                padding_mask: Tensor | None) -> tuple[Decoded, Tensor]:
        """Decode, and the found mass (B, heads, Q) of all queries.

        The weights of all queries are never held at once: fused attention
        sums values, and ones for the mass.
        """
        with without_autocast(memory):
            keys, values = self._read(memory)  # (B, heads, N, ...)
            batch, heads, cells, width = keys.shape
            queries = self._split(self.query_embed.weight)
            # One more dimension holds the null cell's logit, whatever the
            # query; eight keep the kernels' alignment.
            key = keys.new_zeros(batch, heads, cells + 1, width + 8)
            key[:, :, :-1, :width] = keys
            key[:, :, -1, width] = self.null
            query = F.pad(queries * self._scale, (0, 8))  # (heads, Q, ...)
            query[..., width] = 1
            value = torch.zeros_like(key)
            value[:, :, :-1, 0] = values
            value[:, :, :-1, 1] = 1
            visible = None
            if padding_mask is not None:
                visible = F.pad(~padding_mask.flatten(1), (0, 1), value=True)
                visible = visible[:, None, None]  # (B, 1, 1, N + 1)
            found = F.scaled_dot_product_attention(
                query.expand(batch, -1, -1, -1),
                key,
                value,
                attn_mask=visible,
                scale=1.)
            scores, mass = found[..., 0].sum(1), found[..., 1]
        logits, deciding = self.best_queries(scores)
        return Decoded(logits, memory, padding_mask, deciding), mass

    def maps(self,
             decoded: Decoded,
             classes: Tensor | None = None,
             layer: int = -1) -> Tensor:
        """See :class:`BaseExplainingHead`. Each map sums to the found mass:
        what is left to 1 is the null cell's."""
        self.layer_index(layer)
        rows = None
        if classes is not None:
            rows = decoded.deciding.gather(1, classes)  # (B, K)
        return self._weigh(decoded, rows)[0]

    def evidence(self,
                 decoded: Decoded,
                 classes: Tensor,
                 against: Tensor | str | None = None) -> Tensor:
        """See :class:`BaseExplainingHead`."""
        evidence = self._evidence(decoded, classes)
        if isinstance(against, Tensor):
            evidence = evidence - self._evidence(decoded, against)
        elif against == 'rest':
            evidence = evidence - self._evidence_of_rest(decoded, classes)
        elif against is not None:
            raise ValueError(f'evidence got against={against!r}: give class '
                             "indices, 'rest' or None.")
        cells = evidence.flatten(3).flatten(1, 2)  # (B, K * heads, HW)
        with without_autocast(cells):
            for shares in reversed(decoded.mixing):
                cells = cells @ shares
        return cells.view_as(evidence)

    def _evidence_of_rest(self, decoded: Decoded, classes: Tensor) -> Tensor:
        """Mean evidence (B, K, heads, H, W) of all other classes, weighted by
        the softmax of their logits."""
        # others' share in the contrast, (B, K, C)
        share = decoded.logits[:, None].expand(-1, classes.size(1), -1)
        share = share.scatter(2, classes[..., None], -torch.inf)
        share = share.float().softmax(
            -1).nan_to_num()  # an only class has none
        others = torch.arange(self.num_classes, device=classes.device)
        mean = 0
        for some in others.split(_CHUNK):
            of_some = self._evidence(decoded, some.expand(len(classes), -1))
            with without_autocast(of_some):
                mean = mean + torch.einsum('bkc,bchyx->bkhyx',
                                           share[..., some], of_some)
        return mean

    def rescore(self,
                decoded: Decoded,
                maps: Tensor,
                classes: Tensor | None = None) -> Tensor:
        """See :class:`BaseExplainingHead`."""
        with without_autocast(maps):
            _, values = self._read(decoded.memory)
            values = values.unflatten(-1, maps.shape[-2:])
            scores = torch.einsum('bqhyx,bhyx->bq', maps.float(), values)
        if classes is not None:
            return scores.expand(-1, classes.size(1))
        scores = scores.expand(-1, len(self.query_embed.weight))
        return self.best_queries(scores)[0]

    def memory_norms(self, memory: Tensor, layer: int = -1) -> Tensor:
        """See :class:`BaseExplainingHead`; the heads' values are numbers."""
        self.layer_index(layer)
        _, values = self._read(memory)
        values = values.abs().unflatten(-1, memory.shape[-2:])
        distance = memory.float() - memory.float().mean((2, 3), keepdim=True)
        return torch.cat((distance.norm(dim=1, keepdim=True), values), 1)

    def get_evidence(
        self,
        feats: tuple[Tensor, ...],
        classes: Tensor | Sequence[int] | None = None,
        against: Tensor | Sequence[int] | str | None = None,
        padding_mask: Tensor | None = None,
        mixing: Sequence[Tensor] = ()
    ) -> Tensor:
        """What each cell speaks for classes, on the grid of the padded batch.

        Args:
            feats: The last one has shape (B, C_in, H, W).
            classes: K class indices, the same for all images, or (B, K) of
                them. None means all.
            against: See :meth:`BaseExplainingHead.evidence`; indices (K, ) or
                (B, K).
            padding_mask: Bool of shape (B, H, W), True where a cell is
                padding.
            mixing: See :class:`Decoded`.

        Returns:
            float32 of shape (B, K, heads, H, W), whose sums over heads and
            cells are the logits, or their differences.
        """
        decoded = self.decode(self.pre_logits(feats), padding_mask)
        decoded.mixing = mixing
        index = class_index(classes, self.num_classes, decoded.memory)
        if against is not None and not isinstance(against, str):
            against = class_index(against, self.num_classes, decoded.memory)
        return self.evidence(decoded, index, against)

    def loss(self,
             feats: tuple[Tensor, ...],
             data_samples: list[DataSample],
             padding_mask: Tensor | None = None,
             **kwargs) -> dict[str, Tensor]:
        """Losses of the classification and of the found mass."""
        decoded, mass = self._decode(self.pre_logits(feats), padding_mask)
        losses = self._get_loss(decoded.logits, data_samples, **kwargs)
        if self.mass_weight:
            if 'gt_score' in data_samples[0]:  # mixed images
                labels = [s.gt_score.argmax(0, True) for s in data_samples]
            else:
                labels = [sample.gt_label for sample in data_samples]
            losses.update(self._loss_mass(decoded, mass, torch.cat(labels)))
        return losses

    def _loss_mass(self, decoded: Decoded, mass: Tensor,
                   labels: Tensor) -> dict[str, Tensor]:
        """Mean found mass of a class (B, ) of each image."""
        rows = decoded.deciding.gather(1, labels.to(mass.device)[:, None])
        rows = rows[:, None].expand(-1, self.num_heads, -1)  # (B, heads, 1)
        return dict(loss_mass=self.mass_weight * mass.gather(2, rows).mean())

    def convert(self, dtype: torch.dtype) -> None:
        """See :class:`BaseExplainingHead`; sums of many cells stay in
        float32."""
        if self.input_proj is not None:
            self.input_proj.to(dtype)

    def _read(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys (B, heads, N, D / heads) and values (B, heads, N) of the
        memory."""
        x = memory.flatten(2).transpose(1, 2).float()  # (B, N, D)
        if self.reader is not None:
            x = self.norm(x + self.reader(x))
        keys = self._split(self.key(x))
        if self.value is not None:
            return keys, self.value(x).transpose(1, 2)
        values = self.sign * self.log_value.exp()  # (heads, )
        return keys, values[:, None].expand(keys.shape[:3])

    def _split(self, x: Tensor) -> Tensor:
        # (..., L, D) -> (..., heads, L, D / heads)
        return x.unflatten(-1, (self.num_heads, -1)).transpose(-2, -3)

    @property
    def _scale(self) -> float:
        return self.gain * (self.embed_dims // self.num_heads)**-.5

    def _weigh(self, decoded: Decoded,
               rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """Weights (B, K, heads, H, W) of the queries in some rows (B, K), or
        of all, and values (B, 1, heads, H, W)."""
        memory, mask = decoded.memory, decoded.padding_mask
        with without_autocast(memory):
            keys, values = self._read(memory)
            queries = self.query_embed.weight  # (Q, D)
            queries = queries[None] if rows is None else queries[rows]
            scores = self._split(queries) @ keys.transpose(-2, -1)
            scores = scores * self._scale  # (B, heads, K, N)
            if mask is not None:
                scores = scores.masked_fill(
                    mask.flatten(1)[:, None, None], float('-inf'))
            null = self.null[:, None, None].expand(*scores.shape[:3], 1)
            weights = torch.cat((scores, null), -1).softmax(-1)[..., :-1]
        grid = memory.shape[-2:]
        return (weights.transpose(1, 2).unflatten(-1, grid),
                values[:, None].unflatten(-1, grid))

    def _evidence(self, decoded: Decoded, classes: Tensor) -> Tensor:
        weights, values = self._weigh(decoded,
                                      decoded.deciding.gather(1, classes))
        return weights * values
