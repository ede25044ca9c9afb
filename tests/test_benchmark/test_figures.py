"""Figures of outputs and RAM."""
import numpy as np
import pytest
import torch

from benchmarks.cases import Case, draw_views
from benchmarks.inputs import make_images, make_samples
from benchmarks.results import compare_outputs
from benchmarks.workers import measure_ram

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


def test_views_differ_in_size_and_are_padded():
    views = draw_views(4, seed=0)
    assert len(set(views)) > 1 and views == draw_views(4, seed=0)
    case = Case('train-views', 3, 2, (8, 10), views=((8, 4), (5, 10)))
    samples = make_samples(case)
    for image, sample, view in zip(
            make_images(case, 'cpu'), samples, case.views):
        inside = image[:, :view[0], :view[1]].clone()
        assert sample.img_shape == view and inside.all()
        image[:, :view[0], :view[1]] = 0
        assert not image.any() and sample.batch_input_shape == (8, 10)
