"""A batch that passes the backbone in parts is predicted as the whole."""
import pytest
import torch

from ..tiny import LARGER, tiny_batch, tiny_model

EXACT = dict(rtol=0, atol=1e-5)
# Two of 512x512 pixels are computed at a time. The batch is as large as that.
SIZES = (512, 128), (128, 512), (256, 256), (64, 512), (448, 192)


@pytest.fixture
def seen():
    """How many images the backbone got at a time."""
    return []


@pytest.fixture
def model(seen):
    model = tiny_model(**LARGER)
    model.backbone.register_forward_pre_hook(
        lambda _, args: seen.append(len(args[0])))
    return model


@pytest.fixture
def data(model):
    batch = tiny_batch(*SIZES, labels=(0, 1, 2, 3, 4))
    return model.data_preprocessor(batch)


@pytest.mark.parametrize('attention', [None, dict(classes=('gt', 'top2'))])
def test_parts_predict_as_the_whole(model, data, seen, attention):
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
        assert set(a.keys()) == set(b.keys())
        torch.testing.assert_close(b.pred_score, a.pred_score, **EXACT)
        if attention is not None:
            assert torch.equal(b.attention_classes, a.attention_classes)
            torch.testing.assert_close(b.attention, a.attention, **EXACT)


def test_images_without_samples(model, data, seen):
    with torch.no_grad():
        results = model.predict(data['inputs'])
        logits = model(data['inputs'])
    assert logits.shape == (5, 5) and len(results) == 5
    assert seen == [2, 2, 1] * 2


def test_training_takes_the_batch_as_one(model, data, seen):
    model.train()
    model.loss(**data)
    with torch.no_grad():  # as for precise statistics of normalisation
        model(**data)
    assert seen == [5, 5]


def test_large_images_go_one_by_one(model, seen):
    with torch.no_grad():
        model(torch.zeros(3, 3, 768, 768))
    assert seen == [1, 1, 1]
