from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmpretrain.structures import DataSample

from .class_names import ClassNames


def to_record(sample: DataSample, names: ClassNames, topk: int) -> dict:
    """A prediction as JSON can hold it.

    Args:
        sample: Prediction of :class:`INTRInferencer`.
        names: Names of the classes.
        topk: Number of best classes to list.

    Returns:
        ``path`` (None for arrays), ``label``, ``class``, ``score`` and
        ``topk``; with attention also ``attention``: ``labels``, ``classes``,
        ``cells`` (K, heads, h, w), and ``stride``, ``offset`` and
        ``img_shape``, which place the cells on the network's input.
    """
    scores = sample.pred_score
    best = scores.topk(min(topk, len(scores)))
    best = [
        dict(label=label, score=score, **{'class': names[label]})
        for label, score in zip(best.indices.tolist(), best.values.tolist())
    ]
    label = int(scores.argmax())
    record = dict(
        path=sample.get('img_path'),
        label=label,
        score=float(scores[label]),
        topk=best,
        **{'class': names[label]})
    if 'attention' in sample:
        labels = sample.attention_classes.tolist()
        record['attention'] = dict(
            labels=labels,
            classes=[names[i] for i in labels],
            cells=sample.attention[0].tolist(),
            stride=sample.geometry.stride,
            offset=sample.geometry.offset,
            img_shape=list(sample.img_shape))
    return record


def unique_stems(paths: Sequence[str]) -> list[str]:
    """Names for what is written of images, no two alike.

    Args:
        paths: Paths or names of the images; '' stands for an image without.

    Returns:
        Stem of each path; behind those that several share, and for those
        without, the place in the list.
    """
    stems = [Path(path).stem for path in paths]
    shared = Counter(stems)
    return [
        str(i) if not stem else stem if shared[stem] == 1 else f'{stem}_{i}'
        for i, stem in enumerate(stems)
    ]
