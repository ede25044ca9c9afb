"""Prediction by the classes that the first decoder layer prefers."""
import pytest
import torch
from mmpretrain.registry import MODELS


def build(**kwargs):
    torch.manual_seed(0)
    head = MODELS.build(
        dict(
            type='ApproxINTRHead'
            if 'num_candidates' in kwargs else 'INTRHead',
            num_classes=9,
            embed_dims=16,
            num_heads=2,
            feedforward_channels=32,
            **kwargs))
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=.4)
    return head.eval()


@pytest.fixture
def inputs():
    torch.manual_seed(1)
    mask = torch.zeros(3, 4, 5, dtype=torch.bool)
    mask[1, 2:] = True
    return (torch.randn(3, 16, 4, 5), ), mask


def test_all_classes_are_exact(inputs):
    torch.testing.assert_close(
        build(num_layers=3, num_candidates=9)(*inputs),
        build(num_layers=3)(*inputs))


def test_one_layer_knows_the_best(inputs):
    exact = build(num_layers=1)(*inputs)
    found = build(num_layers=1, num_candidates=4)(*inputs)
    best = exact.topk(4).indices
    assert (found > float('-inf')).sum(1).tolist() == [4] * 3
    torch.testing.assert_close(found.gather(1, best), exact.gather(1, best))


def test_chosen_classes_see_each_other_only(inputs):
    """As a head would that has no other classes."""
    head = build(num_layers=3, num_candidates=4)
    feats, mask = (inputs[0][0][:1], ), inputs[1][:1]
    logits = head(feats, mask)[0]
    chosen = (logits > float('-inf')).nonzero()[:, 0]
    few = build(num_layers=3)
    few.num_classes = 4
    few.query_embed.weight = torch.nn.Parameter(few.query_embed.weight[chosen])
    torch.testing.assert_close(logits[chosen], few(feats, mask)[0])


def test_training_and_attention_are_exact(inputs):
    head = build(num_layers=2, num_candidates=2, dropout=0.)
    assert head.train()(*inputs).isfinite().all()
    head.eval()
    plain = head.predict(inputs[0], padding_mask=inputs[1])
    assert all((sample.pred_score > 0).sum() == 2 for sample in plain)
    asked = head.predict(
        inputs[0], padding_mask=inputs[1], attention=dict(classes=('pred', )))
    assert all((sample.pred_score > 0).all() for sample in asked)


@pytest.mark.parametrize('kwargs', [
    dict(num_candidates=0),
    dict(num_candidates=10),
    dict(num_candidates=3, queries_per_class=2)
])
def test_impossible_numbers(kwargs):
    with pytest.raises(ValueError, match='has to lie between 1 and the 9 cl'):
        build(**kwargs)
