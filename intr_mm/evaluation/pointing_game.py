from typing import Dict, Optional

import numpy as np
from mmpretrain.registry import METRICS

from .pointing_metric import PointingMetric


@METRICS.register_module()
class PointingGame(PointingMetric):
    r"""How often the attention of the true class peaks where it should.

    Two regions of a mask are asked about: ``bird``, where it is not 0, and
    ``telling``, where it holds one of the sample's telling values. For each,
    :class:`PointingMetric` says which figures and controls are reported, and
    what the model has to attach.
    There is no tolerance margin around the regions.

    Args:
        stride (float, optional): Pixels of the network input from one cell of
            the map to the next; not needed with an ``explainer``. Defaults to
            None.
        offset (float): Pixel of the network input on which the first cell is
            centred: 0 for stacks of padded convolutions, ``(stride - 1) / 2``
            for backbones that cut the image into patches. Defaults to 0.
        mask_key (str): Key of the mask (H, W) of the sample. A mask of
            another size than ``img_shape`` is taken to cover the same view.
            Defaults to ``'part_mask'``.
        telling_key (str): Key of the sample's telling values of the mask.
            Defaults to ``'telling_parts'``.
        explainer (dict, optional): Config of the explainer whose maps are
            judged. Defaults to None, the attached attention.
        interval (bool): Whether to report bootstrap intervals. Defaults to
            False.
        collect_device (str): Device for collecting results from different
            ranks, 'cpu' or 'gpu'. Defaults to 'cpu'.
        prefix (str, optional): Prefix of the names of the figures. Defaults
            to None, which stands for ``'pointing'``.
    """

    default_prefix = 'pointing'

    def __init__(self,
                 stride: Optional[float] = None,
                 offset: float = 0,
                 mask_key: str = 'part_mask',
                 telling_key: str = 'telling_parts',
                 explainer: Optional[dict] = None,
                 interval: bool = False,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(stride, offset, (mask_key, telling_key), explainer,
                         interval, collect_device, prefix)
        self.mask_key = mask_key
        self.telling_key = telling_key

    def regions(self, sample: dict) -> Dict[str, np.ndarray]:
        """Read the regions off the mask.

        Args:
            sample (dict): The sample with its prediction.

        Returns:
            dict[str, np.ndarray]: ``bird`` and ``telling``, bool (H, W).
        """
        mask = np.asarray(sample[self.mask_key])
        return dict(
            bird=mask != 0, telling=np.isin(mask, sample[self.telling_key]))
