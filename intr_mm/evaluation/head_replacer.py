from collections.abc import Sequence

import torch
from torch import Tensor, nn

from intr_mm.models import INTRHead
from intr_mm.models.utils import encode_images, prepare_images


class HeadReplacer:
    """Scores of a batch when heads of the last decoder layer look evenly.

    The last cross-attention is computed from its parts; what leads to it is
    computed once.

    Args:
        head: The head, in eval mode.
        memory: The encoded images (B, D, H, W), see
            :meth:`INTRHead.pre_logits`.
        padding_mask: Bool of shape (B, H, W), True where a cell is padding.
            None means none is.
    """

    def __init__(self,
                 head: INTRHead,
                 memory: Tensor,
                 padding_mask: Tensor | None = None) -> None:
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
        value = attention.values(tokens)
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
            model: ``INTRClassifier``, or mmpretrain's ``ImageClassifier`` with
                an ``INTRHead``, in eval mode.
            inputs: B images (3, h, w), not normalised.

        Returns:
            Ready to score the batch.
        """
        memory, mask = encode_images(model, *prepare_images(model, inputs))
        return cls(model.head, memory, mask)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.even.device

    def __call__(self, replaced: Tensor) -> Tensor:
        """Score every class.

        Args:
            replaced: Bool of shape (B, heads): the heads that look evenly at
                all cells, for all classes.

        Returns:
            Logits of shape (B, C).
        """
        out = torch.where(replaced[..., None, None], self.even, self.looked)
        out = out.transpose(1, 2).flatten(2)
        out = self.attending + self.layer.cross_attn.attn.out_proj(out)
        out = self.layer.after_attention(out)
        scores = self.head._score(self.head.decoder.post_norm(out))
        return scores.unflatten(1, (self.head.num_classes, -1)).amax(-1)
