import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import mmengine
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpretrain.evaluation import ConfusionMatrix, SingleLabelMetric
from mmpretrain.registry import METRICS
from terminaltables import AsciiTable
from torch import Tensor

from intr_mm.checkpoints import AtomicLocalBackend
from intr_mm_flags import ending
from .calibration import apply_temperature
from .ordered_dump_results import in_data_order

_SHOWN = 10


@METRICS.register_module()
class PredictionTables(BaseMetric):
    """Write what was predicted of each image, how well each class is told, and
    which classes are taken for each other.

    The most confused pairs of classes are printed. A name that several
    classes have is followed by the index, as in ``crane (134)``.

    Args:
        out_file_path: ``NAME.csv`` gets a line for each image, and beside it
            ``NAME_classes.csv`` a line for each class, and
            ``NAME_confusion.csv`` the true classes as rows and the predicted
            ones as columns. ``NAME.json`` holds all three.
        topk: Number of best classes of an image to name.
        temperature: What divides the logits.
        unreadable: Why images are missing, which ``NAME.json`` tells.
        **kwargs: Those of :class:`mmengine.evaluator.BaseMetric`.
    """

    def __init__(self,
                 out_file_path: str,
                 topk: int = 5,
                 temperature: float = 1.,
                 unreadable: Sequence[str] = (),
                 **kwargs) -> None:
        super().__init__(**kwargs)
        if ending(out_file_path) not in ('.csv', '.json'):
            raise ValueError(f"PredictionTables writes '.csv' or '.json', not "
                             f"'{out_file_path}'.")
        self.out_file_path = out_file_path
        self.topk = topk
        self.temperature = temperature
        self.unreadable = list(unreadable)

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Note the true class and the scores of each sample."""
        for sample in data_samples:
            label = sample['gt_label'].flatten().tolist()
            if len(label) != 1 or sample.get('multi_label'):
                raise ValueError(
                    f'PredictionTables knows one class for each image, but '
                    f"'{sample.get('img_path')}' can have several: write a "
                    '.pkl file.')
            scores = apply_temperature(sample['pred_score'].cpu(),
                                       self.temperature).exp()
            self.results.append(
                dict(
                    sample_idx=sample.get('sample_idx'),
                    path=sample.get('img_path'),
                    true=label[0],
                    best=[
                        part.tolist()
                        for part in scores.topk(min(self.topk, len(scores)))
                    ],
                    num_classes=len(scores)))

    def compute_metrics(self, results: list[dict]) -> dict:
        """Write the tables; returns no figures."""
        results = in_data_order(results, self.out_file_path)
        num_classes = results[0]['num_classes']
        names = (self.dataset_meta or {}).get('classes')
        names = _unique(names or [str(i) for i in range(num_classes)])
        images = [self._describe(result, names) for result in results]
        true = torch.tensor([result['true'] for result in results])
        predicted = torch.tensor([result['best'][1][0] for result in results])
        confusion = ConfusionMatrix.calculate(predicted, true, num_classes)
        classes = rate_classes(predicted, true, names)
        self._write(images, classes, confusion.tolist(), names)
        _print_confused(confusion, names)
        return {}

    @staticmethod
    def _describe(result: dict, names: Sequence[str]) -> dict:
        best = [
            dict(score=round(score, 6), **{'class': names[label]})
            for score, label in zip(*result['best'])
        ]
        return dict(
            path=result['path'],
            true=names[result['true']],
            predicted=best[0]['class'],
            score=best[0]['score'],
            correct=result['best'][1][0] == result['true'],
            topk=best)

    def _write(self, images: list[dict], classes: list[dict],
               confusion: list[list[int]], names: Sequence[str]) -> None:
        path = Path(self.out_file_path)
        if ending(path) == '.json':
            content = dict(
                temperature=self.temperature,
                predictions=images,
                unreadable=self.unreadable,
                classes=classes,
                confusion=dict(names=list(names), counts=confusion))
            files = {path: mmengine.dump(content, file_format='json')}
        else:
            rows = []
            for image in images:
                row = {k: v for k, v in image.items() if k != 'topk'}
                for place, item in enumerate(image['topk'], 1):
                    row[f'top{place}'] = item['class']
                    row[f'top{place}_score'] = item['score']
                rows.append(row)
            counts = [{
                'true \\ predicted': name,
                **dict(zip(names, row))
            } for name, row in zip(names, confusion)]
            files = {
                path: _csv(rows),
                path.with_stem(f'{path.stem}_classes'): _csv(classes),
                path.with_stem(f'{path.stem}_confusion'): _csv(counts)
            }
        for file, content in files.items():
            AtomicLocalBackend().put_text(content, str(file))
        print_log(f"Wrote {', '.join(map(str, files))}.", 'current')


def rate_classes(predicted: Tensor, true: Tensor,
                 names: Sequence[str]) -> list[dict]:
    """How well each class is told.

    Args:
        predicted: Class of each image, (N, ).
        true: The same.
        names: Names of all classes.

    Returns:
        Of each class ``images``, ``predicted``, ``class``, and in percent
        ``precision``, ``recall`` and ``f1``, which are None where no image of
        it was there, or was predicted.
    """
    figures = SingleLabelMetric.calculate(
        predicted, true, average=None, num_classes=len(names))
    precision, recall, f1, support = (f.tolist() for f in figures)
    counts = torch.bincount(predicted, minlength=len(names)).tolist()
    return [
        dict(
            images=int(support[i]),
            predicted=counts[i],
            precision=round(precision[i], 2) if counts[i] else None,
            recall=round(recall[i], 2) if support[i] else None,
            f1=round(f1[i], 2) if support[i] or counts[i] else None,
            **{'class': name}) for i, name in enumerate(names)
    ]


def confused_pairs(confusion: Tensor, most: int = _SHOWN) -> list[dict]:
    """Classes that are taken for each other.

    Args:
        confusion: Counts (C, C), the true classes as rows.
        most: Number of pairs.

    Returns:
        Those that are confused most, and first. ``classes`` are two indices;
        ``taken`` says how often the first is taken for the second, and how
        often the second for the first; ``images`` how many both have.
    """
    wrong = confusion.clone()
    wrong.fill_diagonal_(0)
    both = torch.triu(wrong + wrong.T)
    values, places = both.flatten().topk(min(most, both.numel()))
    support = confusion.sum(1).tolist()
    pairs = []
    for value, place in zip(values.tolist(), places.tolist()):
        if value:
            one, other = divmod(place, len(confusion))
            pairs.append(
                dict(
                    classes=[one, other],
                    taken=[int(wrong[one, other]),
                           int(wrong[other, one])],
                    images=support[one] + support[other]))
    return pairs


def _print_confused(confusion: Tensor, names: Sequence[str]) -> None:
    rows = [[
        *(names[i] for i in pair['classes']),
        sum(pair['taken']), pair['images']
    ] for pair in confused_pairs(confusion)]
    if rows:
        header = ['class', 'and class', 'confused', 'of images']
        print_log(
            f'The most confused pairs:\n{AsciiTable([header, *rows]).table}',
            'current')


def _unique(names: Sequence[str]) -> list[str]:
    """Names, with their index where several classes have the same."""
    counts = Counter(names)
    return [
        f'{name} ({i})' if counts[name] > 1 else name
        for i, name in enumerate(names)
    ]


def _csv(rows: list[dict]) -> str:
    file = io.StringIO()
    table = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
    table.writeheader()
    table.writerows(rows)
    return file.getvalue()
