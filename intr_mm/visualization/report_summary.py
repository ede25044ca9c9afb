"""What a report says of all its images together."""
from collections import Counter
from collections.abc import Sequence

import torch
from mmpretrain.evaluation import ConfusionMatrix

from intr_mm.evaluation import (Verdict, confused_pairs, rate_classes, verdict,
                                wilson_interval)

Deletion = tuple[dict, dict]


def summarize(metas: Sequence[dict], num_classes: int | None = None) -> dict:
    """Accuracy, what is confused, and how well each class is told.

    Args:
        metas: Of the images, see :class:`EncodedExplanation`.
        num_classes: Number of all classes. None takes those that occur.

    Returns:
        ``images`` and ``labelled``, their numbers; whether ``several`` classes
        of an image can be true, none of which counts; ``accuracy``, ``None``
        without labels, else in percent ``value`` with the bounds ``low`` and
        ``high`` of Wilson's 95 percent interval (`Probable Inference
        <https://doi.org/10.1080/01621459.1927.10502953>`_, 1927), and the
        number that is ``right``; ``pairs``, see :func:`confused_pairs`; and
        for each of the ``classes`` that occur or have maps its ``label``, what
        :func:`rate_classes` says, and how many of its images are told
        ``wrong``.
    """
    known = [meta for meta in metas if meta['gt'] is not None]
    true, predicted = ([meta[key] for meta in known] for key in ('gt', 'pred'))
    drawn = {label for meta in metas for label in meta['classes']}
    shown = sorted(drawn.union(true, (meta['pred'] for meta in metas)))
    num_classes = max([num_classes or 0, *(label + 1 for label in shown)])
    summary = dict(
        images=len(metas),
        labelled=len(known),
        several=any('several' in meta for meta in metas),
        accuracy=None,
        pairs=[],
        classes=[dict(label=label) for label in shown])
    if known:
        right = sum(a == b for a, b in zip(true, predicted))
        low, high = wilson_interval(right / len(known), len(known))
        summary['accuracy'] = dict(
            right=right,
            value=100 * right / len(known),
            low=100 * low,
            high=100 * high)
        labels = torch.tensor(predicted), torch.tensor(true)
        confusion = ConfusionMatrix.calculate(*labels, num_classes)
        summary['pairs'] = confused_pairs(confusion)
        wrong = (confusion.sum(1) - confusion.diag()).tolist()
        rates = rate_classes(*labels, [''] * num_classes)
        for row in summary['classes']:
            row.update(rates[row['label']], wrong=wrong[row['label']])
            del row['class']
    counts = Counter(
        label for meta in metas
        for label in meta.get('several', dict(pred=[meta['pred']]))['pred'])
    for row in summary['classes']:
        row['predicted'] = counts[row['label']]
    return summary


def judge(metas: Sequence[dict],
          deletion: Deletion | None = None,
          num_classes: int | None = None) -> tuple[Verdict, str] | None:
    """Whether the maps decide, by :func:`verdict`.

    Args:
        metas: Of the images, see :class:`EncodedExplanation`.
        deletion: Of :func:`compare_deletion`.
        num_classes: Number of all classes. None if it is not known.

    Returns:
        It, and what has to be known with it. None where nothing was measured.
    """
    even = [meta for meta in metas if 'even' in meta]
    if not even and deletion is None:
        return None
    figures, remarks = {}, []
    if even:
        kind = 'pred' if any(meta['gt'] is None for meta in even) else 'gt'
        true = [meta[kind] for meta in even]
        kept = _percent(meta['even'][kind] for meta in even)
        guess = 100 * max(Counter(true).values()) / len(true)
        figures = dict(
            guess=guess, num_classes=num_classes, num_images=len(even))
        if kind == 'gt':
            top1 = _percent(meta['pred'] == meta['gt'] for meta in even)
            figures.update(top1=top1, even_top1=kept)
        else:
            figures.update(same=kept)
        if guess == 100:
            remarks.append('All images are of one class, which a guess would '
                           'tell as well.')
    if deletion is not None:
        figures.update(deletion=deletion[0], random_deletion=deletion[1])
    if metas and all(meta['kind'] == 'evidence' for meta in metas):
        remarks.append('These maps add up to the scores.')
    elif any(len(meta['layers']) > 1 for meta in metas):
        remarks.append("Meant are the last layer's maps.")
    counts = [(len(even), 'with even attention')]
    if deletion is not None:
        counts.append((deletion[0]['num_images'], 'by deletion'))
    counts = ' and '.join(f'{number} {how}' for number, how in counts
                          if number)
    remarks.append(f'Images measured: {counts}.')
    return verdict(**figures), ' '.join(remarks)


def _percent(hits) -> float:
    hits = list(hits)
    return 100 * sum(hits) / len(hits)
