from collections.abc import Sequence

import torch
from torch import Tensor, nn

from intr_mm.models import BaseExplainingHead, INTRClassifier
from intr_mm.models.utils import last_of


class ExportableClassifier(nn.Module):
    """What an exported file computes.

    It takes no data samples, but the padding as a mask on pixels, and holds no
    Python that depends on sizes, so that ``torch.export`` records one graph
    for all. Images are padded before the backbone, also of a model with
    ``pad_after_backbone``: give images of one size, without a mask, for what
    that predicts.

    Args:
        model: :class:`INTRClassifier`, or mmpretrain's ``ImageClassifier``,
            with a :class:`BaseExplainingHead`, in eval mode.
        maps: Whose maps to give: ``'pred'``, the number of best classes, or
            ``'all'``. None gives logits alone.
        layer: Decoder layer of the maps.

    Raises:
        ValueError: If there are no such classes, or the model is in training
            mode.
        IndexError: If there is no such layer.
        TypeError: If the model's head cannot explain.
    """

    def __init__(self,
                 model: nn.Module,
                 maps: str | int | None = None,
                 layer: int = -1) -> None:
        super().__init__()
        head = getattr(model, 'head', None)
        if not (isinstance(head, BaseExplainingHead)
                and hasattr(model, 'backbone')):
            raise TypeError(
                'A model with a backbone and an INTRHead can be exported, but '
                f'{type(model).__name__} is none: give the checkpoint of one.')
        if model.training:
            raise ValueError(
                f'{type(model).__name__} is in training mode, in which it '
                'cannot be exported: call model.eval().')
        if head.multi_label:
            raise ValueError(
                f'A model with {type(head).__name__} cannot be exported, as '
                'the file could not tell which classes are predicted: use the '
                'checkpoint.')
        number = dict(pred=1, all=head.num_classes).get(maps, maps)
        if number is not None and not (isinstance(number, int)
                                       and 1 <= number <= head.num_classes):
            raise ValueError(
                f'maps={maps!r} cannot be exported: take pred, all, or the '
                f'number of best classes, 1 to {head.num_classes}.')
        self.model = model
        self.maps = maps
        self.layer = head.layer_index(layer)
        self._number = number
        self._even = head.can_rescore and self.layer == head.num_layers - 1

    @property
    def output_names(self) -> list[str]:
        """What :meth:`forward` gives."""
        if self.maps is None:
            return ['logits']
        names = ['logits', 'classes', 'attention']
        if self.maps == 'all':
            names.remove('classes')
        if self.model.head.gives_evidence:
            names.append('evidence')
        return names + ['even_logits'] * self._even

    def forward(self,
                inputs: Tensor,
                padding_mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """Classify, and give maps.

        Args:
            inputs: Images (B, 3, H, W) as the data preprocessor gives them.
            padding_mask: Bool of shape (B, H, W), True where a pixel is
                padding.

        Returns:
            In the order of ``output_names``: ``logits`` (B, C); ``classes``,
            the K best (B, K), not with ``maps='all'``; their ``attention`` (B,
            K, heads, h, w), see :meth:`INTRClassifier.get_attention` with
            ``deciding_only``; ``evidence`` (B, K, heads, h, w) of a head that
            has it, see :meth:`INTRClassifier.get_evidence`; and
            ``even_logits`` (B, C), see
            :meth:`BaseExplainingHead.rescore_even`.
        """
        return self.read(self.feature_map(inputs), padding_mask)

    def feature_map(self, inputs: Tensor) -> Tensor:
        """The map (B, C_in, h, w) that encoder and head take."""
        model = self.model
        if isinstance(model, INTRClassifier):
            feats = model.feature_maps(inputs)
        else:
            feats = model.extract_feat(inputs)
        return last_of(feats)

    def read(self,
             feature_map: Tensor,
             padding_mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """The rest of :meth:`forward`."""
        model, head, mixing = self.model, self.model.head, ()
        feats, mask = (feature_map, ), None
        if padding_mask is not None:
            mask = _on_cells(padding_mask, feature_map.shape[-2:])
        if isinstance(model, INTRClassifier):
            feats, mask, mixing = model.encode(
                feats, mask, mixing=self.maps is not None)
        decoded = head.decode(head.pre_logits(feats), mask, (self.layer, ))
        decoded.mixing = mixing
        outputs = dict(logits=decoded.logits)
        if self.maps is not None:
            if self.maps == 'all':
                classes = torch.arange(
                    head.num_classes, device=feature_map.device)
                classes = classes.expand(feature_map.size(0), -1)
            else:
                classes = decoded.logits.topk(self._number).indices
            outputs.update(
                classes=classes,
                attention=head.maps(decoded, classes, self.layer))
            if head.gives_evidence:
                outputs['evidence'] = head.evidence(decoded, classes)
            if self._even:
                outputs['even_logits'] = head.rescore_even(decoded)
        return tuple(outputs[name] for name in self.output_names)


def _on_cells(mask: Tensor, grid: Sequence[int]) -> Tensor:
    """A mask (B, H, W) on the h x w cells of a grid, by the arithmetic of
    ``F.interpolate``, which ONNX does not share."""
    rows, columns = (torch.arange(cells, device=mask.device) *
                     (torch.scalar_tensor(pixels, device=mask.device) / cells)
                     for pixels, cells in zip(mask.shape[-2:], grid))
    return mask[:, rows.long()][:, :, columns.long()]
