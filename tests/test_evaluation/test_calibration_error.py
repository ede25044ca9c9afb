import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from intr_mm.evaluation import (CalibrationError, apply_temperature,
                                fit_temperature)


def make_samples(scores, labels):
    return [
        DataSample().set_gt_label(label).set_pred_score(torch.tensor(score))
        for score, label in zip(scores, labels)
    ]


def evaluate(samples, size=None, **kwargs):
    evaluator = Evaluator([CalibrationError(**kwargs)])
    evaluator.process(samples)
    metrics = evaluator.evaluate(size or len(samples))
    return {name.split('/')[1]: value for name, value in metrics.items()}


SCORES = [[.9, .1], [.2, .8], [.7, .3], [.45, .55]]
LABELS = [0, 0, 0, 1]


def test_figures_by_hand():
    # Bins of a fifth: (.6, .8] holds .8, wrong, and .7, right; .55 is alone
    # in (.4, .6], and .9 in (.8, 1].
    figures = evaluate(make_samples(SCORES, LABELS), num_bins=5)
    ece = (abs(.8 + .7 - 1) + abs(.55 - 1) + abs(.9 - 1)) / 4
    assert figures == pytest.approx(
        dict(
            ece=100 * ece,
            confidence=73.75,
            nll=-np.log([.9, .2, .7, .55]).mean()),
        rel=1e-5)
    # In one bin, errors of opposite sign cancel: accuracy is 75 percent.
    whole = evaluate(make_samples(SCORES, LABELS), num_bins=1)
    assert whole['ece'] == pytest.approx(1.25, rel=1e-4)


def test_certain_predictions_have_a_bin_and_zero_scores_a_likelihood():
    figures = evaluate(make_samples([[1., 0.], [1., 0.]], [0, 1]))
    assert figures['ece'] == pytest.approx(50)
    assert 40 < figures['nll'] < 50


def test_temperature_divides_the_logits():
    torch.manual_seed(0)
    logits = torch.randn(20, 5) * 3
    labels = torch.randint(5, (20, )).tolist()
    scores = logits.softmax(-1).tolist()
    tempered = (logits / 2.5).softmax(-1).tolist()
    at_once = evaluate(make_samples(scores, labels), temperature=2.5)
    assert at_once == pytest.approx(
        evaluate(make_samples(tempered, labels)), rel=1e-4)
    torch.testing.assert_close(
        apply_temperature(torch.tensor(scores), 2.5).float(),
        (logits / 2.5).log_softmax(-1))


def test_repeated_samples_of_a_distributed_run_count_once():
    samples = make_samples(SCORES, LABELS)
    assert evaluate(samples + samples[:2], size=4) == evaluate(samples)


@pytest.mark.parametrize('temperature', [.5, 1, 3])
def test_temperature_of_drawn_labels_is_found(temperature):
    """Labels are drawn at 1, the scores shown are sharper or flatter."""
    torch.manual_seed(0)
    logits = torch.randn(20000, 4) * 2
    labels = torch.distributions.Categorical(logits=logits).sample()
    shown = (logits * temperature).softmax(-1)
    assert fit_temperature(shown, labels) == pytest.approx(
        temperature, rel=.03)


def test_fitted_temperature_is_the_best():
    torch.manual_seed(1)
    scores = (torch.randn(200, 6) * 4).softmax(-1)
    labels = torch.where(
        torch.rand(200) < .7, scores.argmax(1), torch.randint(6, (200, )))
    samples = make_samples(scores.tolist(), labels.tolist())
    best = fit_temperature(scores, labels)
    at_best = evaluate(samples, temperature=best)['nll']
    for other in (.5 * best, .99 * best, 1.01 * best, 2 * best):
        assert at_best < evaluate(samples, temperature=other)['nll']


def test_bad_settings_are_refused():
    for kwargs in (dict(num_bins=0), dict(temperature=0)):
        with pytest.raises(ValueError, match='num_bins >= 1'):
            CalibrationError(**kwargs)
    with pytest.raises(ValueError, match='has to be positive, got -1'):
        apply_temperature(torch.ones(1, 1), -1)


@pytest.mark.parametrize('number', [0, 3])
def test_no_temperature_follows_from_predictions_that_are_right(number):
    scores = torch.tensor([[.9, .1]] * number).reshape(number, 2)
    with pytest.raises(ValueError, match=f'{number} predictions of which no'):
        fit_temperature(scores, torch.zeros(number, dtype=torch.long))
