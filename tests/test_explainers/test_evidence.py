import pytest
import torch
from mmpretrain.registry import TASK_UTILS

from intr_mm.evaluation.head_replacer import HeadReplacer
from intr_mm.explainers import AttentionExplainer, EvidenceExplainer
from .tiny_model import CLASSES, build_model


@pytest.fixture
def model():
    return build_model()


def explain(model, images, heads='each'):
    explainer = TASK_UTILS.build(dict(type='EvidenceExplainer', heads=heads))
    return explainer(model, images, CLASSES)


def test_is_attention_times_what_the_logit_gains(model):
    """Moving attention from one cell to another gains the logit as much as
    the evidence of the two, per attention, differs."""
    images = [torch.rand(3, 64, 64) * 255 for _ in CLASSES]
    evidence = explain(model, images)
    attention = AttentionExplainer('each')(model, images, CLASSES)
    data = model.data_preprocessor(dict(inputs=images))
    feats = model.extract_feat(data['inputs'])
    memory = model.head.pre_logits(feats)
    replacer = HeadReplacer(model.head, memory)
    cross = model.head.decoder.layers[-1].cross_attn
    tokens = memory.flatten(2).transpose(1, 2)
    values = cross._project(replacer.attending, tokens, tokens)[2]
    nothing = torch.zeros(2, 2, dtype=torch.bool)
    looked, eps = replacer.looked, .05
    for head, i, j in ((0, 5, 40), (1, 17, 3)):
        gain = []
        for sign in (1, -1):
            moved = looked.clone()
            moved[:, head] += sign * eps * (values[:, head, i] -
                                            values[:, head, j])[:, None]
            replacer.looked = moved
            gain.append(replacer(nothing)[[0, 1], CLASSES])
        for image in range(2):
            per_attention = (evidence[image].maps /
                             attention[image].maps)[head].ravel()
            expected = per_attention[i] - per_attention[j]
            measured = (gain[0] - gain[1])[image] / (2 * eps)
            assert abs(expected) > 1e-4
            assert float(measured) == pytest.approx(expected, rel=.02)


def test_sums_to_zero_and_names_its_maps(model):
    images = [torch.rand(3, 64, 64) * 255 for _ in CLASSES]
    explainer = EvidenceExplainer('all')
    maps = explain(model, images, 'all')[0].maps
    assert explainer.names(model) == ['mean', 'head1', 'head2']
    assert maps.shape == (3, 8, 8)
    assert abs(maps.sum((1, 2))).max() < 1e-6
    assert abs(maps).max() > 1e-6


def test_padding_takes_no_part(model):
    wide = torch.rand(3, 64, 128) * 255
    images = [torch.rand(3, 64, 64) * 255, wide]
    narrow, whole = explain(model, images)
    assert narrow.maps.shape == (2, 8, 8)
    assert whole.maps.shape == (2, 8, 16)
    assert abs(narrow.maps.sum((1, 2))).max() < 1e-6
