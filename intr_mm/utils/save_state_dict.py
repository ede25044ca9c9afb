import os
from pathlib import Path
from typing import Dict, Union

import torch
from torch import Tensor


def save_state_dict(state_dict: Dict[str, Tensor], path: Union[str,
                                                               Path]) -> None:
    """Write a checkpoint of weights, whole or not at all.

    Args:
        state_dict (dict[str, Tensor]): The weights.
        path (str | Path): File to write; its folder is made if need be.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + '.part')
    torch.save(dict(meta=dict(), state_dict=state_dict), part)
    os.replace(part, path)
