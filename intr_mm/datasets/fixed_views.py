import random
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform, Compose
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class FixedViews(BaseTransform):
    """Augment each image in a few ways that are always the same.

    One of them is drawn each time. So there are few views of an image whose
    features a frozen backbone has to compute, see
    :class:`intr_mm.models.FeatureCache`, at the price of less variety.

    **Required Keys:**

    - img_path or sample_idx, whatever else the transforms need

    Args:
        transforms: Configs of the random transforms.
        views: How many views there are of an image.
    """

    def __init__(self, transforms: Sequence[dict], views: int = 4) -> None:
        if views < 1:
            raise ValueError(f'FixedViews needs views >= 1, got {views}.')
        self.transforms = Compose([TRANSFORMS.build(t) for t in transforms])
        self.views = views

    def transform(self, results: dict) -> dict | None:
        """Draw a view and make it.

        Raises:
            KeyError: If nothing tells one image from another.
        """
        name = results.get('img_path', results.get('sample_idx'))
        if name is None:
            raise KeyError("FixedViews finds neither 'img_path' nor "
                           "'sample_idx' in a sample: load the image before.")
        view = np.random.randint(self.views)
        seed = zlib.crc32(f'{name} {view}'.encode())
        states = random.getstate(), np.random.get_state()
        with torch.random.fork_rng(devices=[]):
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            try:
                return self.transforms(results)
            finally:
                random.setstate(states[0])
                np.random.set_state(states[1])

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(transforms={self.transforms}, '
                f'views={self.views})')
