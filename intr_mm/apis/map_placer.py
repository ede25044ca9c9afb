from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from mmpretrain.structures import DataSample

from intr_mm.visualization import Explanation, sample_attention
from .seen_region import seen_region


class MapPlacer:
    """Brings maps on cells and the image together.

    Args:
        pipeline: What images pass after loading, see :func:`seen_region`.
        num_layers: Number of decoder layers.
    """

    def __init__(self, pipeline: Callable, num_layers: int) -> None:
        self.pipeline = pipeline
        self.num_layers = num_layers
        self._regions: dict[tuple[int, int], tuple[slice, slice]] = {}

    def explanation(self, results: dict, sample: DataSample,
                    layers: Sequence[int]) -> Explanation:
        """Put an explanation together.

        Args:
            results: Of :func:`read_image`.
            sample: Of :class:`BatchAttention`, with attention.
            layers: Its decoder layers.

        Returns:
            Each class once, in the order they were asked for.
        """
        classes = sample.attention_classes.tolist()
        once = list(dict.fromkeys(classes))
        places = [classes.index(i) for i in once]
        rows, columns = self._region(sample.ori_shape)
        memory = sample.get('memory')
        return Explanation(
            image=results['img'][rows, columns, ::-1].astype(np.uint8),
            scores=sample.pred_score.numpy(),
            classes=once,
            layers=[layer % self.num_layers for layer in layers],
            maps=sample.attention[:, places].numpy(),
            geometry=sample.geometry,
            img_shape=sample.img_shape,
            name=Path(sample.get('img_path') or '').stem,
            gt_label=int(sample.gt_label) if 'gt_label' in sample else None,
            memory=None if memory is None else memory.numpy())

    def on_image(self, cells: np.ndarray, sample: DataSample) -> np.ndarray:
        """Maps at the pixels of the image.

        Args:
            cells: Maps of shape (K, heads, h, w).
            sample: Of :class:`BatchAttention`, with attention.

        Returns:
            float32 of shape (K, heads, H, W), 0 outside what the network saw.
        """
        rows, columns = self._region(sample.ori_shape)
        seen = sample_attention(
            cells.reshape(-1, *cells.shape[-2:]), sample.geometry,
            sample.img_shape,
            (rows.stop - rows.start, columns.stop - columns.start))
        maps = np.zeros((*cells.shape[:2], *sample.ori_shape), np.float32)
        maps[..., rows, columns] = seen.reshape(*cells.shape[:2],
                                                *seen.shape[-2:])
        return maps

    def _region(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        if shape not in self._regions:
            self._regions[shape] = seen_region(self.pipeline, shape)
        return self._regions[shape]
