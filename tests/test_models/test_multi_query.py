"""Several queries per class, of which the best decides."""
import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator

from intr_mm.evaluation import PointingGame
from intr_mm.models import explain_batch
from ..tiny import LARGER, tiny_batch, tiny_model

EXACT = dict(rtol=0, atol=1e-5)
K = 3


def build(k=K, **changes):
    """A model of ``k`` queries for each of five classes."""
    return tiny_model(**{**LARGER, 'head__queries_per_class': k, **changes})


def copy_of(model, k):
    """The model with ``k`` copies of each query."""
    several = build(k)
    state = model.state_dict()
    query = state['head.query_embed.weight']
    state['head.query_embed.weight'] = query.repeat_interleave(k, dim=0)
    several.load_state_dict(state)
    return several


def batch(model, labels=None):
    """Images of 3x2 and of 2x4 cells."""
    return model.data_preprocessor(
        tiny_batch((48, 32), (32, 64), labels=labels))


def scores_of(model, data):
    """Score of each query, (B, C, k)."""
    head, scores = model.head, []
    handle = head.presence_vector.register_forward_hook(
        lambda *args: scores.append(args[-1]))
    model(**data)
    handle.remove()
    return scores[0].view(len(data['inputs']), 5, -1)


@torch.no_grad()
def test_one_query_is_intr():
    plain, one = tiny_model(**LARGER), build(1)
    one.load_state_dict(plain.state_dict())
    assert plain.head.query_embed.weight.shape == (5, 16)
    data = batch(plain)
    for model in (plain, one):
        scores = scores_of(model, data)
        assert torch.equal(model(**data), scores[..., 0])
        maps = model.get_attention(**data)
        deciding = model.get_attention(**data, deciding_only=True)
        assert maps.shape == (2, 5, 2, 3, 4)
        assert torch.equal(maps, deciding)
    assert torch.equal(plain(**data), one(**data))


@torch.no_grad()
def test_copies_of_a_query_change_nothing():
    # With as many copies of every query, the decoder's self-attention gives
    # what it gave without.
    single = build(1)
    several = copy_of(single, K)
    data = batch(single)
    torch.testing.assert_close(several(**data), single(**data), **EXACT)
    maps, expected = (
        model.get_attention(**data) for model in (several, single))
    assert maps.shape == (2, 5, K, 2, 3, 4)
    torch.testing.assert_close(maps, expected[:, :, None].expand_as(maps),
                               **EXACT)


@torch.no_grad()
def test_the_best_query_decides_score_and_map():
    attention = dict(classes=('gt', 2, 'top5'), layer=0)
    model = build(test_cfg=dict(attention=attention))
    data = batch(model, (3, 0))
    scores, winners = scores_of(model, data).max(-1)
    assert len(winners.unique()) > 1
    assert torch.equal(model(**data), scores)
    every = model.get_attention(**data, layer=0)
    deciding = model.get_attention(**data, layer=0, deciding_only=True)
    results = model(**data, mode='predict')
    for i, (result, (h, w)) in enumerate(zip(results, [(3, 2), (2, 4)])):
        expected = torch.stack([every[i, c, winners[i, c]] for c in range(5)])
        torch.testing.assert_close(deciding[i], expected)
        classes = result.attention_classes
        torch.testing.assert_close(result.attention,
                                   expected[classes][..., :h, :w])


@torch.no_grad()
def test_attention_of_asked_classes():
    model = build()
    data = batch(model)
    every = model.get_attention(**data)
    torch.testing.assert_close(
        model.get_attention(**data, classes=[4, 1]), every[:, [4, 1]])
    own = torch.tensor([[2], [0]])
    torch.testing.assert_close(
        model.get_attention(**data, classes=own),
        torch.stack([every[0, [2]], every[1, [0]]]))
    with pytest.raises(IndexError, match='Class 5 .* 5'):
        model.get_attention(**data, classes=[5])


@torch.no_grad()
def test_order_of_the_queries_of_a_class_does_not_matter():
    model = build()
    data = batch(model)
    logits, maps = model(**data), model.get_attention(**data)
    order = torch.tensor([2, 0, 1])
    weight = model.head.query_embed.weight
    weight.copy_(weight.view(5, K, -1)[:, order].flatten(0, 1))
    torch.testing.assert_close(model(**data), logits, **EXACT)
    torch.testing.assert_close(
        model.get_attention(**data), maps[:, :, order], **EXACT)


def test_only_the_winning_scores_get_a_gradient():
    model = build()
    data = batch(model, (0, 1))
    scores = []

    def keep(module, args, output):
        output.retain_grad()
        scores.append(output)

    model.head.presence_vector.register_forward_hook(keep)
    model(**data, mode='loss')['loss'].backward()
    gradient = scores[0].grad.view(2, 5, K)
    winners = scores[0].view(2, 5, K).argmax(-1)
    assert ((gradient != 0).sum(-1) == 1).all()
    assert torch.equal(gradient.abs().argmax(-1), winners)
    assert (model.head.query_embed.weight.grad.abs().sum(1) > 0).all()


@torch.no_grad()
@pytest.mark.parametrize('classifier', ['INTRClassifier', 'ImageClassifier'])
def test_pictures_show_the_deciding_query(classifier):
    model = build(type=classifier, neck=None, head__in_channels=32)
    batch = tiny_batch((48, 32))
    (explained, ), _ = explain_batch(model, batch['inputs'], classes=(4, 1))
    maps = explained.attention[0]
    inputs = model.data_preprocessor(batch)['inputs']
    sample, = model.predict(inputs, attention=dict(classes=(4, 1)))
    assert maps.shape == (2, 2, 3, 2)
    np.testing.assert_allclose(maps, sample.attention, rtol=0, atol=1e-5)


@torch.no_grad()
def test_pointing_game_takes_the_predictions():
    model = build(test_cfg=dict(attention=dict(classes=('gt', ))))
    data = batch(model, (0, 1))
    for sample in data['data_samples']:
        sample.set_metainfo(
            dict(
                part_mask=np.ones(sample.img_shape, np.uint8),
                telling_parts=(3, )))
    evaluator = Evaluator([PointingGame(stride=16)])
    evaluator.process(model(**data, mode='predict'))
    metrics = evaluator.evaluate(2)
    assert metrics['pointing/bird'] == 100
    assert metrics['pointing/telling'] == 0
