import os

from mmengine.device import get_device


def use_huge_pages() -> None:
    """Let PyTorch ask Linux for huge pages, where it computes on a CPU.

    Activations are taken from the system and given back again and again; in
    pages of 4 KiB, preparing them takes a tenth of training and prediction.
    To be called before the first tensor is made. Older PyTorch (2.1) and
    other systems ignore it; ``THP_MEM_ALLOC_ENABLE=0`` in the environment
    prevents it.
    """
    if get_device() == 'cpu':
        os.environ.setdefault('THP_MEM_ALLOC_ENABLE', '1')
