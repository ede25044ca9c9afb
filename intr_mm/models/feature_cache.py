import hashlib
import io
import os.path as osp
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn as nn
from mmengine.logging import print_log
from torch import Tensor

from intr_mm.checkpoints import AtomicLocalBackend
from .utils import without_autocast


class FeatureCache:
    """Feature maps of a frozen backbone, computed once and kept on disk.

    A map is found by the pixels of its image and the backbone's weights, so
    that none can be out of date, unless weights are written past PyTorch's
    count of changes, as through ``.data``; the folder may be shared by several
    models and be deleted at any time. Maps are computed in float32 and kept in
    float16, or in float32 where they do not fit, one ``.npy`` file each.

    Args:
        folder: Created when the first map is kept.
        description: What tells backbones of equal weights apart.
    """

    def __init__(self, folder: str, description: str) -> None:
        self.folder = folder
        self.description = description
        self._versions = self._weights = None
        self._said_so = False

    def get(self, backbone: nn.Module, images: Sequence[Tensor],
            compute: Callable[[Sequence[Tensor]],
                              list[Tensor]], store: bool) -> list[Tensor]:
        """Maps of images, kept or computed.

        Args:
            backbone: Whose weights count.
            images: Of shape (3, H, W), normalised.
            compute: Gives the maps (C, h, w) of images.
            store: Whether to keep those that are new.

        Returns:
            float32, the same whether kept or computed.
        """
        folder = self._folder(backbone)
        paths = [_path(folder, image) for image in images]
        maps = [self._load(path, images[0].device) for path in paths]
        missing = [i for i, of_image in enumerate(maps) if of_image is None]
        if missing:
            with without_autocast(images[0]):
                computed = compute([images[i] for i in missing])
            for i, of_image in zip(missing, computed):
                kept = of_image.half()
                if not kept.isfinite().all():
                    kept = of_image.float()
                if store:
                    self._store(folder, paths[i], kept)
                maps[i] = kept.float()
        return maps

    def _folder(self, backbone: nn.Module) -> str:
        """Where maps of a backbone with its present weights are kept."""
        weights = backbone.state_dict(keep_vars=True)
        versions = [(w.data_ptr(), w._version) for w in weights.values()]
        if versions != self._versions:  # first, or changed in place
            digest = hashlib.blake2b(self.description.encode(), digest_size=8)
            for name, value in weights.items():
                digest.update(name.encode())
                digest.update(_bytes(value))
            self._versions, self._weights = versions, digest.hexdigest()
        return osp.join(self.folder, self._weights)

    @staticmethod
    def _load(path: str, device: torch.device) -> Tensor | None:
        try:
            features = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):  # absent or damaged
            return None
        return torch.from_numpy(features).to(device, torch.float32)

    def _store(self, folder: str, path: str, features: Tensor) -> None:
        file = io.BytesIO()
        np.save(file, features.cpu().numpy())
        AtomicLocalBackend().put(file.getvalue(), path)
        if not self._said_so:
            print_log(
                'Feature maps of the frozen backbone are computed once and '
                f"kept in '{folder}': until all are there, steps take longer, "
                'and the eta of the log is too long.', 'current')
            self._said_so = True


def _path(folder: str, image: Tensor) -> str:
    pixels = hashlib.blake2b(str(image.shape).encode(), digest_size=16)
    pixels.update(_bytes(image))
    name = pixels.hexdigest()
    return osp.join(folder, name[:2], f'{name}.npy')


def _bytes(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().contiguous().flatten().view(
        torch.uint8).numpy()
