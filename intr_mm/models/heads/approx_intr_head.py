import torch
from mmpretrain.registry import MODELS
from torch import Tensor

from .intr_head import INTRHead


@MODELS.register_module()
class ApproxINTRHead(INTRHead):
    """INTR's head with approximate prediction for very many classes.

    All classes pass through the first decoder layer, which needs no attention
    among them. Only the best of them pass through the others, where the cost
    of that attention is quadratic in their number; the rest gets the logit
    ``-inf``. How often the prediction stays the same depends on the trained
    model and has to be measured on it. Training, and predictions that are
    asked for attention, are exact.

    Args:
        num_candidates: Number of classes that pass through all layers.
        num_classes: Number of classes ``C``.
        **kwargs: Other arguments of :class:`INTRHead`.
    """

    def __init__(self, num_candidates: int, num_classes: int,
                 **kwargs) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        if self.queries_per_class > 1 or not (0 < num_candidates <=
                                              num_classes):
            raise ValueError(
                f'num_candidates={num_candidates} has to lie between 1 and '
                f'the {num_classes} classes, and needs queries_per_class=1.')
        self.num_candidates = num_candidates

    def forward(self,
                feats: tuple[Tensor, ...],
                padding_mask: Tensor | None = None) -> Tensor:
        """Score the classes that the first layer prefers.

        Args:
            feats: The last one has shape (B, C_in, H, W).
            padding_mask: Bool of shape (B, H, W), True where a cell is
                padding. None means that none is.

        Returns:
            Logits of shape (B, C).
        """
        if self.training:
            return super().forward(feats, padding_mask)
        tokens = self.pre_logits(feats).flatten(2).transpose(1, 2)
        if padding_mask is not None:
            padding_mask = padding_mask.flatten(1)
        query_pos = self.query_embed.weight.expand(tokens.size(0), -1, -1)
        first, *others = self.decoder.layers
        query = first(None, tokens, query_pos, padding_mask)[0]
        scores = self._score(self.decoder.post_norm(query))
        best = scores.topk(self.num_candidates, dim=1).indices
        rows = best.unsqueeze(-1).expand(-1, -1, self.embed_dims)
        query, query_pos = query.gather(1, rows), query_pos.gather(1, rows)
        for layer in others:
            query = layer(query, tokens, query_pos, padding_mask)[0]
        return torch.full_like(scores, float('-inf')).scatter(
            1, best, self._score(self.decoder.post_norm(query)))
