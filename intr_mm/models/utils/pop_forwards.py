from collections.abc import Callable

import torch.nn as nn


def pop_forwards(module: nn.Module) -> list[tuple[nn.Module, Callable]]:
    """Let the forward passes of the classes run again.

    mmengine's ``efficient_conv_bn_eval`` and ``activation_checkpointing`` put
    others on the modules themselves. Those of the former call no module
    inside, and so none of its hooks.

    Args:
        module: Changed in place, with all modules in it.

    Returns:
        The modules that had one, and what to assign to ``forward`` to have it
        back.
    """
    return [(part, vars(part).pop('forward')) for part in module.modules()
            if 'forward' in vars(part)]
