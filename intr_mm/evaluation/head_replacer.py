from typing import Optional, Sequence

import torch
from torch import Tensor, nn

from intr_mm.explainers.attention import prepare
from intr_mm.models import INTRClassifier, INTRHead
from intr_mm.models.utils import make_padding_mask


class HeadReplacer:
    """Scores of a batch when heads of the last decoder layer look evenly.

    The last cross-attention is computed from its parts; what leads to it is
    computed once.

    Args:
        head (INTRHead): The head, in eval mode.
        memory (Tensor): The encoded images (B, D, H, W), see
            :meth:`INTRHead.pre_logits`.
        padding_mask (Tensor, optional): Bool of shape (B, H, W), True where a
            cell is padding. Defaults to None, none is.
    """

    def __init__(self,
                 head: INTRHead,
                 memory: Tensor,
                 padding_mask: Optional[Tensor] = None) -> None:
        self.head = head
        self.layer = head.decoder.layers[-1]
        attention = self.layer.cross_attn
        self.num_heads = attention.num_heads
        attending = head._decode(memory, padding_mask)[2]
        tokens = memory.flatten(2).transpose(1, 2)
        mask = None if padding_mask is None else padding_mask.flatten(1)
        weights = attention.attention_weights(
            attending,
            tokens,
            query_pos=head.query_embed.weight,
            key_padding_mask=mask)
        value = attention._project(attending, tokens, tokens)[2]
        even = torch.ones_like(weights[:, :1, :1])
        if mask is not None:
            even = even.masked_fill(mask[:, None, None], 0)
        even = even / even.sum(-1, keepdim=True)
        self.attending = attending
        self.looked = weights.to(value.dtype) @ value
        self.even = even.to(value.dtype) @ value

    @classmethod
    def of_images(cls, model: nn.Module,
                  inputs: Sequence[Tensor]) -> 'HeadReplacer':
        """Encode images for it.

        Args:
            model (nn.Module): ``INTRClassifier``, or mmpretrain's
                ``ImageClassifier`` with an ``INTRHead``, in eval mode.
            inputs (Sequence[Tensor]): B images (3, h, w), not normalised.

        Returns:
            HeadReplacer: Ready to score the batch.
        """
        images, samples = prepare(model, inputs)
        mask = None
        if isinstance(model, INTRClassifier):
            feats = model.extract_feat(images, data_samples=samples)
            mask = make_padding_mask(samples, feats[-1])
        else:
            feats = model.extract_feat(images)
        return cls(model.head, model.head.pre_logits(feats), mask)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.even.device

    def __call__(self, replaced: Tensor) -> Tensor:
        """Score every class.

        Args:
            replaced (Tensor): Bool of shape (B, heads): the heads that look
                evenly at all cells, for all classes.

        Returns:
            Tensor: Logits of shape (B, C).
        """
        out = torch.where(replaced[..., None, None], self.even, self.looked)
        out = out.transpose(1, 2).flatten(2)
        out = self.attending + self.layer.cross_attn.attn.out_proj(out)
        out = self.layer.norms[2](self.layer.ffn(self.layer.norms[1](out)))
        scores = self.head.presence_vector(self.head.decoder.post_norm(out))
        return scores.squeeze(-1).unflatten(
            1, (self.head.num_classes, -1)).amax(-1)
