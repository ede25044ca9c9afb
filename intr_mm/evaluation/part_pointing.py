import numpy as np
from mmpretrain.registry import METRICS

from .pointing import PointingMetric


@METRICS.register_module()
class PartPointing(PointingMetric):
    r"""How often the attention of the true class peaks on a part of the bird.

    Two regions of the original image are asked about: ``box``, the bounding
    box, and ``part``, all that lies within ``alpha * max(w, h)`` of any
    visible part point, where w and h are the sides of the bounding box. An
    image without a visible part counts as a miss. For each,
    :class:`PointingMetric` says which figures and controls are reported, and
    what the model has to attach.

    The radius is that of PCK, from `Articulated Human Detection with Flexible
    Mixtures of Parts <https://doi.org/10.1109/TPAMI.2012.261>`_ (TPAMI 2013).

    Points and boxes are those of the image file, as :class:`CUBParts` gives
    them, so that only images which the pipeline has merely resized are taken.
    For that, ``PackInputs`` needs the ``meta_keys`` ``part_points``,
    ``bbox``, ``img_path``, ``ori_shape``, ``img_shape``, ``scale_factor`` and
    ``flip``.

    Args:
        stride: Pixels of the network input from one cell of the map to the
            next; not needed with an ``explainer``.
        offset: Pixel of the network input on which the first cell is centred:
            0 for stacks of padded convolutions, ``(stride - 1) / 2`` for
            backbones that cut the image into patches.
        alpha: Radius around a part, as a fraction of the longer side of the
            bounding box.
        **kwargs: ``explainer``, ``interval`` and others of
            :class:`PointingMetric`.
    """

    default_prefix = 'part_pointing'

    def __init__(self,
                 stride: float | None = None,
                 offset: float = 0,
                 alpha: float = .1,
                 **kwargs) -> None:
        super().__init__(stride, offset,
                         ('part_points', 'bbox', 'ori_shape', 'img_shape'),
                         **kwargs)
        self.alpha = alpha

    def regions(self, sample: dict) -> dict[str, np.ndarray]:
        """Draw the regions on the pixels of the original image.

        Raises:
            ValueError: If the image was flipped or cropped.
        """
        _check_only_resized(sample)
        height, width = sample['ori_shape'][:2]
        # Points and boxes count from the edge of the image, and the centre
        # of its first pixel lies half a pixel from there.
        x, y = np.arange(width) + .5, np.arange(height) + .5
        x1, y1, x2, y2 = sample['bbox']
        box = np.outer((y1 <= y) & (y < y2), (x1 <= x) & (x < x2))
        points = np.asarray(sample['part_points']).reshape(-1, 2)
        from_x = (x - points[:, :1])**2
        from_y = (y - points[:, 1:])**2
        radius = self.alpha * max(x2 - x1, y2 - y1)
        near = from_y[:, :, None] + from_x[:, None] <= radius**2
        return dict(part=near.any(0), box=box)


def _check_only_resized(sample: dict) -> None:
    height, width = sample['ori_shape'][:2]
    scale_x, scale_y = sample.get('scale_factor', (1., 1.))
    expected = np.array([height * scale_y, width * scale_x])
    shape = sample['img_shape'][:2]
    if sample.get('flip') or np.abs(expected - shape).max() >= 1:
        raise ValueError(
            f"PartPointing got '{sample.get('img_path')}' of "
            f'{height} x {width} pixels flipped, or cropped or padded to '
            f'{shape[0]} x {shape[1]}, where its parts lie elsewhere than in '
            'the file: keep one resize of the whole image in the pipeline, '
            "and 'scale_factor' and 'flip' in the meta_keys of PackInputs.")
