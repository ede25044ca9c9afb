"""What :class:`INTRInferencer` says of a prediction."""
import math
from collections.abc import Sequence

import numpy as np
from mmpretrain.structures import DataSample
from torch import Tensor

from intr_mm.evaluation import apply_temperature
from .class_names import ClassNames


def recalibrate(samples: Sequence[DataSample], logits: Tensor,
                temperature: float) -> None:
    """Divide the logits of predictions by a temperature.

    Args:
        samples: B predictions, of which all scores are changed.
        logits: Those of them, (B, C).
        temperature: See :class:`INTRInferencer`.
    """
    # not of scores, the least of which float32 takes for 0
    logits = logits.double().cpu() / temperature
    for sample, scores in zip(samples, logits.softmax(-1).float()):
        sample.set_field(scores, 'pred_score')
        if 'attention_even' in sample:
            even = apply_temperature(sample.attention_even, temperature)
            sample.set_field(even.exp().float(), 'attention_even')


def add_findings(result: dict, sample: DataSample, names: ClassNames) -> None:
    """Add to mmpretrain's result what an explaining head found.

    Args:
        result: Of one image; receives the entries that
            :meth:`INTRInferencer.__call__` lists, but for those on the image.
        sample: The prediction.
        names: Names of the classes.
    """
    if sample.get('multi_label'):
        result.update(_decision(sample, names, 'pred_'))
    if 'attention' not in sample:
        return
    cells = sample.attention[0].numpy()
    labels = sample.attention_classes.tolist()
    result.update(
        attention_classes=labels,
        attention_class_names=[names[i] for i in labels],
        attention_cells=cells,
        geometry=sample.geometry,
        img_shape=sample.img_shape)
    if 'attention_even' in sample:
        result['even_score'] = _even_score(sample)
    if 'attention_evidence' in sample:
        result.update(
            evidence_cells=sample.attention_evidence.numpy(),
            found_mass=cells.sum((-2, -1)).mean(-1))


def place_on_image(sample: DataSample, region: tuple[slice, slice],
                   most: int) -> np.ndarray:
    """Maps of a prediction at the pixels of its image.

    Args:
        sample: The prediction, with attention of one layer.
        region: Rows and columns of the image that the network saw.
        most: Number of values from which on the image is reduced.

    Returns:
        float32 of shape (K, heads, H, W), 0 where the network did not see the
        image.
    """
    cells, shape = sample.attention[0].numpy(), sample.ori_shape
    shrink = math.sqrt(cells[..., 0, 0].size * math.prod(shape) / most)
    if shrink > 1:
        shape = tuple(math.ceil(edge / shrink) for edge in shape)
        region = tuple(
            slice(
                int(part.start /
                    shrink), min(math.ceil(part.stop / shrink), edge))
            for part, edge in zip(region, shape))
    maps = np.zeros((*cells.shape[:2], *shape), np.float32)
    view = maps[(..., *region)]
    for index in np.ndindex(cells.shape[:2]):
        view[index] = sample.geometry.resample(cells[index], sample.img_shape,
                                               view.shape[-2:])
    return maps


def to_record(sample: DataSample, names: ClassNames, topk: int) -> dict:
    """A prediction as JSON can hold it.

    Args:
        sample: Prediction of :class:`INTRInferencer`.
        names: Names of the classes.
        topk: Number of best classes to list.

    Returns:
        ``path`` (None for arrays), ``topk``, ``label``, ``class`` and
        ``score``, which are lists where several classes can be true; with
        attention also ``attention``: ``labels``, ``classes``, ``cells`` (K,
        heads, h, w), and ``stride``, ``offset`` and ``img_shape``, which place
        the cells on the network's input; and where the head gives them
        ``evidence`` (K, heads, h, w) and ``even_score``, see
        :meth:`INTRInferencer.__call__`.
    """
    scores = sample.pred_score
    best = scores.topk(min(topk, len(scores)))
    best = [
        dict(label=label, score=score, **{'class': names[label]})
        for label, score in zip(best.indices.tolist(), best.values.tolist())
    ]
    record = dict(
        path=sample.get('img_path'), topk=best, **_decision(sample, names))
    if 'attention' in sample:
        labels = sample.attention_classes.tolist()
        record['attention'] = dict(
            labels=labels,
            classes=[names[i] for i in labels],
            cells=sample.attention[0].tolist(),
            stride=sample.geometry.stride,
            offset=sample.geometry.offset,
            img_shape=list(sample.img_shape))
        if 'attention_evidence' in sample:
            record['attention']['evidence'] = (
                sample.attention_evidence.tolist())
        if 'attention_even' in sample:
            record['even_score'] = _even_score(sample)
    return record


def _decision(sample: DataSample, names: ClassNames, prefix: str = '') -> dict:
    return {
        f'{prefix}label': _of_predicted(sample, range(len(sample.pred_score))),
        f'{prefix}score': _of_predicted(sample, sample.pred_score.tolist()),
        f'{prefix}class': _of_predicted(sample, names)
    }


def _even_score(sample: DataSample) -> float | list[float]:
    return _of_predicted(sample, sample.attention_even.tolist())


def _of_predicted(sample: DataSample, values: Sequence):
    """That of the classes' values which is the predicted class's; a list of
    all predicted classes' where several can be true."""
    if sample.get('multi_label'):
        return [values[i] for i in sample.pred_label.tolist()]
    return values[int(sample.pred_score.argmax())]
