import itertools
import math

import pytest
import torch
from mmengine.evaluator import Evaluator

from intr_mm.evaluation import HeadSelection, rank_heads, select_heads
from intr_mm.models import explain_batch
from ..tiny import LARGER, tiny_batch, tiny_model

EXACT = dict(rtol=0, atol=1e-5)


def build(**changes):
    """A model whose heads differ."""
    return tiny_model(std=8, **{**LARGER, 'head__num_heads': 4, **changes})


def images(*sizes):
    return tiny_batch(*sizes)['inputs']


def logits_of(model, inputs):
    return model(**model.data_preprocessor(dict(inputs=inputs)))


def rescore(model, decoded, replaced):
    """Logits when the attention heads ``replaced`` (B, heads) look evenly."""
    maps = torch.where(replaced[:, None, :, None, None],
                       model.head.even_maps(decoded), model.head.maps(decoded))
    return model.head.rescore(decoded, maps)


@pytest.mark.parametrize('queries_per_class, num_layers', [(1, 2), (3, 1)])
@pytest.mark.parametrize('sizes', [[(64, 64)] * 2, [(64, 48), (48, 96)]])
@torch.no_grad()
def test_with_no_head_replaced_the_logits_are_the_models(
        queries_per_class, num_layers, sizes):
    model = build(
        head__queries_per_class=queries_per_class, head__num_layers=num_layers)
    logits = logits_of(model, images(*sizes))
    _, decoded = explain_batch(model, images(*sizes))
    assert (decoded.padding_mask is None) == (sizes[0] == sizes[1])
    none = torch.zeros(2, 4, dtype=torch.bool)
    torch.testing.assert_close(rescore(model, decoded, none), logits, **EXACT)
    evenly = rescore(model, decoded, ~none)
    assert (evenly - logits).abs().max() > 1e-2
    # one even map serves all queries and heads
    even = model.head.even_maps(decoded).expand(-1, -1, 4, -1, -1)
    torch.testing.assert_close(
        model.head.rescore(decoded, even), evenly, **EXACT)


@torch.no_grad()
def test_scores_of_asked_classes():
    model = build(head__queries_per_class=3)
    _, decoded = explain_batch(model, images((64, 48), (48, 96)))
    classes = torch.tensor([[4, 1], [0, 0]])
    maps = model.head.maps(decoded, classes)
    torch.testing.assert_close(
        model.head.rescore(decoded, maps, classes),
        decoded.logits.gather(1, classes), **EXACT)


@torch.no_grad()
def test_a_replaced_head_looks_evenly():
    """A head with queries of zero does, as all its scores are equal."""
    model = build()
    _, decoded = explain_batch(model, images((64, 48), (48, 96)))
    one, two = torch.eye(4).bool()[[1, 2]]
    replaced = torch.stack((one, one | two))
    logits = rescore(model, decoded, replaced)
    attention = model.head.decoder.layers[-1].cross_attn.attn
    for row, heads in enumerate(((1, ), (1, 2))):
        for head in heads:
            attention.in_proj_weight[4 * head:4 * head + 4] = 0
            attention.in_proj_bias[4 * head:4 * head + 4] = 0
        expected = model.head.decode(decoded.memory,
                                     decoded.padding_mask).logits
        torch.testing.assert_close(logits[row], expected[row], **EXACT)


@pytest.mark.parametrize('order, best', [('least', max), ('most', min)])
@torch.no_grad()
def test_greedy_order_is_that_of_trying_all(order, best):
    model = build()
    inputs, classes = images((64, 48), (48, 96), (64, 64)), [0, 3, 4]
    steps, curve = select_heads(model, inputs, torch.tensor(classes), order)
    logits = logits_of(model, inputs)
    _, decoded = explain_batch(model, inputs)
    for i, cls in enumerate(classes):

        def score(heads):
            replaced = torch.zeros(3, 4, dtype=torch.bool)
            replaced[:, heads] = True
            logits = rescore(model, decoded, replaced)
            return float(logits[i].softmax(-1)[cls].logit())

        own = logits[i].softmax(-1)[cls]
        assert curve[i, 0].sigmoid() == pytest.approx(float(own))
        gone = []
        for n in range(4):
            left = [h for h in range(4) if h not in gone]
            gone.append(best(left, key=lambda h: score(gone + [h])))
            assert curve[i, n + 1] == pytest.approx(score(gone), abs=1e-4)
        assert steps[i].tolist() == gone


def test_figures_by_hand():
    metric = HeadSelection()
    for steps, curve in (([1, 0], [.8, .6, .2]), ([0, 1], [.4, .4, .4])):
        metric.results.append(
            (torch.tensor(steps).numpy(), torch.tensor(curve).logit().numpy()))
    metrics = metric.evaluate(2)
    expected = dict(
        score_0=60,
        score_1=50,
        score_2=30,
        area=(55 + 40) / 2,
        log_odds_0=(math.log(4) + math.log(2 / 3)) / 2,
        log_odds_1=0,
        log_odds_2=(math.log(1 / 4) + math.log(2 / 3)) / 2,
        head0_first=50,
        head0_last=50,
        head1_first=50,
        head1_last=50)
    expected = {f'head_selection/{k}': v for k, v in expected.items()}
    assert metrics == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_metric_takes_the_true_class_and_counts_repeated_samples_once():
    model = build()
    labels = 0, 3, 4
    batch = tiny_batch((64, 48), (48, 96), (64, 64), labels=labels)
    inputs, samples = batch['inputs'], batch['data_samples']
    metric = HeadSelection(order='most')
    metric.prepare(model)
    evaluator = Evaluator([metric])
    evaluator.process(samples, dict(inputs=inputs))
    evaluator.process(samples[:1], dict(inputs=inputs[:1]))
    metrics = evaluator.evaluate(3)
    steps, curve = select_heads(model, inputs, torch.tensor(labels), 'most')
    for n, head in itertools.product(range(5), range(4)):
        assert metrics[f'head_selection/log_odds_{n}'] == pytest.approx(
            float(curve[:, n].mean()), rel=1e-5)
        assert metrics[f'head_selection/head{head}_first'] == \
            pytest.approx(100 * float((steps[:, 0] == head).float().mean()))


@torch.no_grad()
def test_heads_that_give_evidence_rank_by_what_they_add():
    head = dict(type='EvidenceHead', num_classes=5, embed_dims=16, num_heads=4)
    model = tiny_model(std=8, head=dict(head, _delete_=True))
    inputs = images((64, 48), (48, 96))
    _, decoded = explain_batch(model, inputs)
    added = model.head.evidence(decoded, torch.tensor([[3], [3]])).sum(
        (0, 1, -2, -1))
    assert rank_heads(model, [inputs[:1], inputs[1:]],
                      3) == added.argsort(descending=True).tolist()


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="order='best'"):
        HeadSelection(order='best')
    with pytest.raises(RuntimeError, match='PrepareMetricsHook'):
        HeadSelection().process(dict(inputs=[]), [])


@torch.no_grad()
def test_order_is_told_where_the_softmax_rounds_to_one():
    model = build()
    inputs = images((64, 48), (48, 96))
    classes = logits_of(model, inputs).argmax(1)
    # Logits are linear in the presence vector, so that their order stays.
    orders = []
    for gain in (1e3, 2.):
        model.head.presence_vector.weight *= gain
        steps, log_odds = select_heads(model, inputs, classes)
        assert (log_odds[:, 0].sigmoid() == 1).all()
        assert (log_odds.diff(dim=1) != 0).all()
        orders.append(steps.tolist())
    assert orders[0] == orders[1]
