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
        stride: Pixels of the network input from one cell of the map to the
            next; not needed with an ``explainer``.
        offset: Pixel of the network input on which the first cell is centred:
            0 for stacks of padded convolutions, ``(stride - 1) / 2`` for
            backbones that cut the image into patches.
        mask_key: Key of the mask (H, W) of the sample. A mask of another size
            than ``img_shape`` is taken to cover the same view.
        telling_key: Key of the sample's telling values of the mask.
        explainer: Config of the explainer whose maps are judged. None means
            the attached attention.
        interval: Whether to report bootstrap intervals.
        collect_device: Device for collecting results from different ranks,
            'cpu' or 'gpu'.
        prefix: Prefix of the names of the figures. None stands for
            ``'pointing'``.
    """

    default_prefix = 'pointing'

    def __init__(self,
                 stride: float | None = None,
                 offset: float = 0,
                 mask_key: str = 'part_mask',
                 telling_key: str = 'telling_parts',
                 explainer: dict | None = None,
                 interval: bool = False,
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(stride, offset, (mask_key, telling_key), explainer,
                         interval, collect_device, prefix)
        self.mask_key = mask_key
        self.telling_key = telling_key

    def regions(self, sample: dict) -> dict[str, np.ndarray]:
        """Read the regions off the mask.

        Args:
            sample: The sample with its prediction.

        Returns:
            ``bird`` and ``telling``, bool (H, W).
        """
        mask = np.asarray(sample[self.mask_key])
        return dict(
            bird=mask != 0, telling=np.isin(mask, sample[self.telling_key]))
