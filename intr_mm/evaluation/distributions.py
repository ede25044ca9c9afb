import torch
from torch import Tensor


def entropy(maps: Tensor) -> Tensor:
    """Shannon entropy of attention maps.

    Args:
        maps: Shape (..., N), not negative, each sums to 1.

    Returns:
        Shape (...), in nats, 0 to log(N).
    """
    return torch.special.entr(maps).sum(-1)


def js_divergence(maps: Tensor, others: Tensor) -> Tensor:
    """Jensen-Shannon divergence, from `Divergence measures based on the
    Shannon entropy <https://doi.org/10.1109/18.61115>`_ (1991).

    Args:
        maps: Shape (..., N), not negative, each sums to 1.
        others: The same, of a shape that broadcasts.

    Returns:
        Shape (...), in bits: 0 for equal maps, 1 for maps that share no cell.
    """
    nats = entropy((maps + others) / 2) - (entropy(maps) + entropy(others)) / 2
    # Rounding makes it slightly negative for equal maps.
    return nats.clamp(min=0) / torch.log(nats.new_tensor(2.))
