"""A batch that passes the backbone in parts is predicted as the whole."""
import pytest
import torch

from intr_mm.models import classifier
from .test_intr import EXACT, build, images, labels

SIZES = (96, 64), (64, 96), (96, 96), (32, 64), (80, 80)


@pytest.fixture
def seen(monkeypatch):
    """Two images of 96x96 fit in a part; the sizes of those computed."""
    monkeypatch.setattr(classifier, '_PIXELS_IN_CACHE', 2 * 96 * 96)
    return []


def build_watched(seen):
    model = build()
    model.backbone.register_forward_pre_hook(
        lambda _, args: seen.append(len(args[0])))
    data = model.data_preprocessor(
        dict(inputs=images(*SIZES), data_samples=labels(0, 1, 2, 3, 4)))
    return model, data


@pytest.mark.parametrize('attention', [None, dict(classes=('gt', 'top2'))])
def test_parts_predict_as_the_whole(seen, attention):
    model, data = build_watched(seen)
    whole = model.predict(**data, attention=attention)  # with gradients
    whole = [sample.clone() for sample in whole]
    with torch.no_grad():
        parts = model.predict(**data, attention=attention)
        logits = model(**data)
    assert seen == [5, 2, 2, 1, 2, 2, 1]
    torch.testing.assert_close(
        logits.softmax(1), torch.stack([s.pred_score for s in whole]), **EXACT)
    assert [s.gt_label.item() for s in parts] == [0, 1, 2, 3, 4]
    for a, b in zip(whole, parts):
        assert a.keys() == b.keys()
        torch.testing.assert_close(b.pred_score, a.pred_score, **EXACT)
        if attention is not None:
            assert torch.equal(b.attention_classes, a.attention_classes)
            torch.testing.assert_close(b.attention, a.attention, **EXACT)


def test_images_without_samples(seen):
    model, data = build_watched(seen)
    with torch.no_grad():
        results = model.predict(data['inputs'])
        logits = model(data['inputs'])
    assert logits.shape == (5, 5) and len(results) == 5
    assert seen == [2, 2, 1] * 2


def test_training_takes_the_batch_as_one(seen):
    model, data = build_watched(seen)
    model.train()
    model.loss(**data)
    with torch.no_grad():  # as for precise statistics of normalisation
        model(**data)
    assert seen == [5, 5]


def test_large_images_go_one_by_one(seen):
    model, data = build_watched(seen)
    with torch.no_grad():
        model(torch.zeros(3, 3, 160, 160))
    assert seen == [1, 1, 1]
