"""Seven explanations of three classes, some of them wrong, for reports."""
import numpy as np

from intr_mm.structures import CellGeometry, Explanation
from intr_mm.visualization import HTMLReport

HOSTILE = ('</script><img src=x onerror="window.hacked=1"><!--<script>'
           '\u2028 &"\'')
NAMES = ['red_ruff', 'blue_bill', HOSTILE, 'grey_gull', 'tawny_tit', 'wren']
# label, predicted
LABELS = [(0, 0), (1, 1), (2, 2), (0, 1), (None, 2), (1, 1), (2, 0)]
CONFIDENCES = [.9, .5, .7, .6, .95, .8, .4]


def explain(index,
            label,
            pred,
            confidence,
            heads=3,
            layers=2,
            grid=(5, 7),
            classes=len(NAMES)):
    rng = np.random.default_rng(index)
    scores = np.full(classes, (1 - confidence) / (classes - 1))
    scores[pred] = confidence
    logits = rng.normal(0, 2, (layers, 3, heads, grid[0] * grid[1]))
    maps = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return Explanation(
        image=rng.integers(0, 256, (60, 90, 3), np.uint8),
        scores=scores,
        classes=[0, 1, 2],
        layers=list(range(layers)),
        maps=maps.reshape(layers, 3, heads, *grid).astype(np.float32),
        geometry=CellGeometry(16., 3.5),
        img_shape=(80, 120),
        name=f'{HOSTILE}{index}.jpg' if index == 2 else f'photo_{index}.jpg',
        gt_label=label)


def explain_evidence(index, label, pred, confidence):
    """One layer's maps that are less than 1, and evidence of both signs."""
    explanation = explain(index, label, pred, confidence, layers=1)
    rng = np.random.default_rng(index)
    explanation.maps = explanation.maps * np.float32(.6)
    sign = rng.choice([-3., 5.], explanation.maps[0].shape)
    explanation.evidence = (explanation.maps[0] * sign).astype(np.float32)
    explanation.even_scores = np.full(len(NAMES), 1 / len(NAMES))
    return explanation


EXPLANATIONS = [
    explain(i, *labels, confidence)
    for i, (labels, confidence) in enumerate(zip(LABELS, CONFIDENCES))
]

EVIDENCE = [
    explain_evidence(i, *labels, confidence)
    for i, (labels, confidence) in enumerate(zip(LABELS, CONFIDENCES))
]


def birds(explanations=EXPLANATIONS) -> HTMLReport:
    """A report of all of them."""
    report = HTMLReport(NAMES, title=f'Birds {HOSTILE}')
    for explanation in explanations:
        report.add(explanation)
    return report
