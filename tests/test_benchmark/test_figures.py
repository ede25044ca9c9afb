"""Figures of outputs, RAM and work."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config

from benchmarks import workers
from benchmarks.cases import Case
from benchmarks.inputs import count_flops
from benchmarks.results import compare_outputs
from benchmarks.workers import measure_ram
from ..tiny import CONFIG

MIB = 2**20


@pytest.mark.parametrize('scale, error, failed', [
    (1, 5e-5, False),
    (1, 5e-4, True),
    (0.01, 5e-5, False),
    (100, 5e-3, False),
    (100, 5e-2, True),
    (1, float('nan'), True),
])
def test_agreement_in_float32(scale, error, failed):
    reference = np.array([[1., -0.5], [0., 0.5]]) * scale
    output = reference.copy()
    output[1, 0] += error
    agreement = compare_outputs(reference, output, exact=True)
    assert agreement['failed'] is failed
    assert agreement['difference'] == pytest.approx(error, nan_ok=True)
    assert agreement['relative'] == pytest.approx(error / scale, nan_ok=True)
    assert not compare_outputs(reference, output, exact=False)['failed']


def test_top1_agreement():
    reference = np.array([[2., 1.], [2., 1.], [1., 2.], [1., 2.]])
    output = np.array([[2., 1.], [1., 2.], [1., 2.], [0., 9.]])
    assert compare_outputs(reference, output, exact=False)['top1'] == 0.75
    assert compare_outputs(
        reference[0, 0], output[0, 0], exact=True)['top1'] is None
    with pytest.raises(ValueError, match='cannot be compared'):
        compare_outputs(reference, output[:2], exact=True)


def test_ram_of_a_call():
    for _ in range(2):
        peak, growth = measure_ram(lambda: torch.ones(64 * MIB // 4), 'cpu')
        assert 60 < growth < 80
        assert peak > growth
    _, growth = measure_ram(
        lambda: torch.ones(64 * MIB // 4), 'cpu', released=32 * MIB)
    assert 92 < growth < 112


def test_matrix_peak_grows_matrices_until_they_take_long(monkeypatch):
    sizes = []

    class Timer:

        def __init__(self, statement, globals, num_threads):
            self.size = len(globals['a'])
            assert statement == 'a @ a'
            assert num_threads == torch.get_num_threads()
            sizes.append(self.size)

        def blocked_autorange(self):
            # small matrices are slow
            seconds = 2 * self.size**3 / (1e9 * min(self.size, 512))
            return SimpleNamespace(times=[2 * seconds, seconds])

    monkeypatch.setattr(workers, 'Timer', Timer)
    peaks = workers.Worker(None, 'cpu').matrix_peak(torch.get_num_threads())
    assert peaks == pytest.approx(dict(float32=512e9, bfloat16=512e9))
    assert sizes == [256, 512, 1024, 2048, 4096] * 2


def test_flops():
    cfg = Config.fromfile(CONFIG)
    forward = count_flops(cfg, Case('predict', 3, 1, (64, 64)))
    assert count_flops(cfg, Case('predict', 3, 4, (64, 64))) == 4 * forward

    step = Case('train', 3, 1, (64, 64), training=True)
    assert count_flops(cfg, step) == 3 * forward
    cfg.model.backbone.frozen_stages = 0
    # a stem of 8 filters of 7 x 7 x 3 at half the size
    stem = 2 * 32 * 32 * 8 * 3 * 7 * 7
    assert count_flops(cfg, step) == 3 * forward - 2 * stem


def test_flops_of_the_decoder_grow_with_its_memory():
    cfg = Config.fromfile(CONFIG)
    small, large, wide = (count_flops(cfg, Case('decoder', classes, 1, shape))
                          for classes, shape in ((3, (4, 5)), (3, (8, 5)),
                                                 (6, (4, 5))))
    # keys and values of a memory of width 16, and attention of 3 queries
    assert large - small == 2 * 20 * (2 * 16 * 16 + 3 * 2 * 16)
    assert wide > small
