import math

import numpy as np
import pytest

from intr_mm.evaluation.base import bootstrap_interval


def test_is_that_of_the_normal_distribution_for_many_values():
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = bootstrap_interval(values)
    error = values.std() / math.sqrt(len(values))
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=.2 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=.2 * error)


def test_level_and_seed():
    values = np.random.default_rng(0).random(20)
    low, high = bootstrap_interval(values)
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval(values, seed=1) != (low, high)
    narrow = bootstrap_interval(values, level=.5)
    assert low < narrow[0] < np.mean(values) < narrow[1] < high


def test_equal_values_have_no_spread_and_one_value_an_unknown_one():
    assert bootstrap_interval([3, 3, 3]) == (3, 3)
    assert all(map(math.isnan, bootstrap_interval([3])))
