import numpy as np
import pytest
import torch
from mmpretrain.registry import TASK_UTILS

from intr_mm.explainers import AttentionExplainer, EvidenceExplainer
from intr_mm.models import explain_batch
from ..tiny import LARGER, tiny_batch, tiny_model

CLASSES = torch.tensor([3, 1])


@pytest.fixture
def model():
    return tiny_model(**LARGER)


def images_of(*sizes):
    return tiny_batch(*sizes)['inputs']


def explain(model, images, heads='each'):
    explainer = TASK_UTILS.build(dict(type='EvidenceExplainer', heads=heads))
    return explainer(model, images, CLASSES)


def test_is_attention_times_what_the_logit_gains(model):
    """Moving attention from one cell to another gains the logit as much as
    the evidence of the two, per attention, differs."""
    images = images_of((128, 128), (128, 128))
    evidence = explain(model, images)
    attention = AttentionExplainer('each')(model, images, CLASSES)
    _, decoded = explain_batch(model, images)
    classes, eps = CLASSES[:, None], .005
    maps = model.head.maps(decoded, classes)  # (2, 1, heads, 8, 8)
    for head, i, j in ((0, 5, 40), (1, 17, 3)):
        gain = []
        for sign in (1, -1):
            moved = maps.clone().flatten(3)
            moved[:, 0, head, i] += sign * eps
            moved[:, 0, head, j] -= sign * eps
            with torch.no_grad():
                logits = model.head.rescore(decoded, moved.view_as(maps),
                                            classes)
            gain.append(logits[:, 0])
        for image in range(2):
            per_attention = (evidence[image].maps /
                             attention[image].maps)[head].ravel()
            expected = per_attention[i] - per_attention[j]
            measured = (gain[0] - gain[1])[image] / (2 * eps)
            assert abs(expected) > 1e-4
            assert float(measured) == pytest.approx(expected, rel=.005)


def test_sums_to_zero_and_names_its_maps(model):
    images = images_of((128, 128), (128, 128))
    explainer = EvidenceExplainer('all')
    maps = explain(model, images, 'all')[0].maps
    assert explainer.names(model) == ['mean', 'head0', 'head1']
    assert maps.shape == (3, 8, 8)
    assert (abs(maps.sum((1, 2))) < 1e-4 * abs(maps).sum((1, 2))).all()
    np.testing.assert_allclose(
        maps[0], maps[1:].mean(0), rtol=0, atol=1e-5 * abs(maps).max())


def test_padding_takes_no_part(model):
    narrow, whole = explain(model, images_of((128, 128), (128, 256)))
    assert narrow.maps.shape == (2, 8, 8)
    assert whole.maps.shape == (2, 8, 16)
    size = abs(narrow.maps).sum((1, 2))
    assert (abs(narrow.maps.sum((1, 2))) < 1e-4 * size).all()
