from dataclasses import dataclass, field

import numpy as np
from mmpretrain.structures import DataSample

from .cell_geometry import CellGeometry


@dataclass
class Explanation:
    """Which places of one image matter, and what the model said of it.

    Explainers fill ``maps``, ``geometry`` and ``img_shape``; figures and
    reports need the rest too.

    Args:
        maps: float32 of shape (..., h, w) on the cells that are not padding,
            the higher the more important: (M, h, w) of an explainer with M
            names; attention of L layers and K classes is (L, K, heads, h, w),
            each map summing to 1, or to the found mass of an
            :class:`EvidenceHead`.
        geometry: Where the cells lie on the network's input.
        img_shape: Height and width in pixels of the network's input without
            padding.
        image: RGB image (H, W, 3), uint8, at its own resolution, which shows
            the same as the network's input.
        scores: Scores of all classes, (C, ).
        classes: The K classes of the maps.
        layers: The L decoder layers of the maps, from 0 on.
        name: Name of the image.
        gt_label: The true class; where several can be true, a list of all
            that are.
        pred_label: The predicted class; where several can be true, a list of
            those that are predicted. None means the best one.
        memory: How large is what the maps weigh, (L, 1 + heads, h, w); see
            :meth:`INTRHead.memory_norms`.
        evidence: What each cell speaks for the classes, (K, heads, h, w),
            whose sums are the logits; of a head that gives it.
        even_scores: Scores of all classes if all heads of the last layer
            looked evenly, (C, ): what the model knows without these maps.
    """
    maps: np.ndarray
    geometry: CellGeometry
    img_shape: tuple[int, int]
    image: np.ndarray | None = None
    scores: np.ndarray | None = None
    classes: list[int] = field(default_factory=list)
    layers: list[int] = field(default_factory=list)
    name: str = ''
    gt_label: int | list[int] | None = None
    pred_label: int | list[int] | None = None
    memory: np.ndarray | None = None
    evidence: np.ndarray | None = None
    even_scores: np.ndarray | None = None

    @classmethod
    def from_sample(cls,
                    sample: DataSample,
                    image: np.ndarray,
                    layers: list[int],
                    name: str = '',
                    field: str = 'attention') -> 'Explanation':
        """Take an explanation from a prediction; each class once.

        Args:
            sample: Of :func:`intr_mm.models.explain_batch`, with maps.
            image: What the network saw, RGB.
            layers: The decoder layers of the maps, from 0 on.
            name: Name of the image.
            field: Where the sample has its maps.
        """
        classes = sample.get(f'{field}_classes').tolist()
        once = list(dict.fromkeys(classes))
        rows = [classes.index(i) for i in once]

        def array(name: str) -> np.ndarray | None:
            value = sample.get(name)
            # numpy has no bfloat16
            return None if value is None else value.detach().float().cpu(
            ).numpy()

        evidence = array(f'{field}_evidence')
        return cls(
            maps=array(field)[:, rows],
            geometry=sample.geometry,
            img_shape=tuple(sample.img_shape[:2]),
            image=image,
            scores=array('pred_score'),
            classes=once,
            layers=layers,
            name=name,
            gt_label=_labels(sample, 'gt_label'),
            pred_label=_labels(sample, 'pred_label'),
            memory=array('memory'),
            evidence=None if evidence is None else evidence[rows],
            even_scores=array(f'{field}_even'))

    @property
    def multi_label(self) -> bool:
        """Whether several classes can be true."""
        return isinstance(self.pred_label, list)

    @property
    def predicted(self) -> list[int]:
        """All classes that are predicted."""
        if self.pred_label is None:
            return [int(self.scores.argmax())]
        return self.pred_label if self.multi_label else [self.pred_label]

    @property
    def found_mass(self) -> np.ndarray:
        """How much of its attention each class spends on the image, (K, ):
        mean over the heads, in the last of the layers."""
        return self.maps[-1].sum((-2, -1)).mean(-1)

    def on_pixels(self, out_shape: tuple[int, int]) -> np.ndarray:
        """The maps (..., H, W) on the pixels of a picture of the input; see
        :meth:`CellGeometry.resample`."""
        return self.geometry.resample(self.maps, self.img_shape, out_shape)


def _labels(sample: DataSample, key: str) -> int | list[int] | None:
    labels = sample.get(key)
    if labels is None:
        return None
    return labels.tolist() if sample.get('multi_label') else int(labels)
