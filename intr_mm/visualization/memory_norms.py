import torch
from torch import Tensor, nn


def memory_norms(head: nn.Module, memory: Tensor, layer: int = -1) -> Tensor:
    """How large is what the classes can take from each cell.

    Attention only weighs: a cell with a short value vector gives little,
    however much attention it gets (`Attention is Not Only a Weight
    <https://arxiv.org/abs/2004.10102>`_, EMNLP 2020).

    Args:
        head: ``INTRHead``.
        memory: The encoded image of shape (B, D, h, w), from
            :meth:`INTRHead.pre_logits`, without cells that are padding.
        layer: Decoder layer. -1 means the last.

    Returns:
        float32 of shape (B, 1 + heads, h, w): the Euclidean distance of the
        memory from its mean over the cells, the same in all layers, and the
        norm of each head's value vectors in ``layer``. (The memory's own norm
        is all but fixed by the encoder's last LayerNorm.)
    """
    attention = head.decoder.layers[layer].cross_attn
    value = attention.values(memory.flatten(2).transpose(1, 2)).norm(dim=-1)
    value = value.unflatten(-1, memory.shape[-2:])
    distance = memory - memory.mean((2, 3), keepdim=True)
    return torch.cat((distance.norm(dim=1, keepdim=True), value), 1).float()
