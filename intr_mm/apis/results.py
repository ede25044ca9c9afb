"""What :class:`INTRInferencer` says of a prediction."""
from collections.abc import Sequence

from mmpretrain.structures import DataSample

from .class_names import ClassNames


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
