import torch
from mmpretrain.registry import TASK_UTILS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from intr_mm.models.utils import encode_images
from .attention import AttentionExplainer


@TASK_UTILS.register_module()
class EvidenceExplainer(AttentionExplainer):
    """Attention times what each cell speaks for or against the class.

    Attention says how much a class takes from a cell, not whether that raises
    its score. The map is the attention of the last decoder layer times the
    gradient of the class's logit with respect to it, less the part that all
    cells of a head share: positive where a cell speaks more for the class
    than the head's average. Gradient times input is from `Not Just a Black
    Box <https://arxiv.org/abs/1605.01713>`_.

    It follows the encoder's tokens, as attention does: what the encoder has
    carried to another cell is shown there.

    Args:
        heads: ``'mean'`` gives the mean of the heads, ``'each'`` one map for
            each head, ``'all'`` the mean and then each.
    """

    def __init__(self, heads: str = 'mean') -> None:
        super().__init__(heads=heads)

    def _maps(self, model: nn.Module, images: Tensor,
              samples: list[DataSample], classes: Tensor) -> Tensor:
        head = model.head
        memory, mask = encode_images(model, images, samples)
        _, winners, attending = head._decode(memory, mask)
        queries = winners.gather(1, classes.to(winners.device)[:, None])
        attention = head._attention(attending, memory, mask, queries, -1)
        attention = attention[:, 0].flatten(2)
        attending = attending.gather(
            1,
            queries.unsqueeze(-1).expand(-1, -1, head.embed_dims))

        layer = head.decoder.layers[-1]
        values = layer.cross_attn.values(memory.flatten(2).transpose(1, 2))
        with torch.enable_grad():
            weights = attention.detach().requires_grad_()
            taken = (weights.unsqueeze(2).to(values.dtype) @ values).flatten(1)
            query = attending[:, 0] + layer.cross_attn.attn.out_proj(taken)
            query = head.decoder.post_norm(layer.after_attention(query))
            logit = head._score(query)
            gradient, = torch.autograd.grad(logit.sum(), weights)
        shared = (attention * gradient).sum(-1, keepdim=True)
        return (attention * (gradient - shared)).unflatten(
            -1, memory.shape[-2:])
