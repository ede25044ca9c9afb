import torch.nn as nn


def xavier_init_matrices(module: nn.Module) -> None:
    """Initialise every parameter of two or more dimensions as DETR does.

    Args:
        module: Changed in place.
    """
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
