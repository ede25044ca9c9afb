"""Results as text and as a picture."""
import cv2
import numpy as np
import pytest

from intr_mm.benchmark import format_results, plot_classes
from intr_mm.benchmark.agreement import compare_outputs
from intr_mm.benchmark.case import Case, Side
from intr_mm.benchmark.results import Comparison, Measurement, Result


def make_result(work='classes', num_classes=200, failure=None):
    case = Case(work, num_classes, 1, (32, 48))
    official = Measurement(
        Side('official', 'predict'), [4., 6., 5.],
        900.,
        400.,
        share_of_peak=0.1)
    ours = Measurement(
        Side('fast-bf16', 'predict'), [2., 2., 2.],
        600.,
        100.,
        share_of_peak=0.25)
    if failure is not None:
        official = Measurement(official.side, failure=failure)
    agreement = compare_outputs(
        np.array([[1., 2.]]), np.array([[1.5, 2.]]), exact=False)
    return Result(case, 10**9, [official, ours],
                  [Comparison(official, ours, agreement)])


def test_table_names_pairs_ratios_and_agreement():
    line = format_results([make_result()]).splitlines()[3]
    cells = [cell.strip() for cell in line.strip('|').split('|')]
    assert cells == [
        'classes, 1 x 32x48, C=200', 'official 5 s', 'fast-bf16 2 s',
        '2.5 [2, 3]', '4 (1.5)', '5.0e-01 (2.5e-01 rel.), top-1 100%',
        '10%, 25%'
    ]


def test_table_says_why_nothing_was_measured():
    table = format_results([make_result(failure='out of memory')])
    assert 'official: out of memory' in table
    assert 'fast-bf16 2 s' in table


def test_plot_shows_a_line_for_each(tmp_path):
    path = tmp_path / 'classes.png'
    plot_classes([
        make_result(num_classes=200),
        make_result(num_classes=3000, failure='out of memory'),
        make_result('train-classes'),
    ], str(path))
    assert cv2.imread(str(path)).std() > 5
    with pytest.raises(ValueError, match='add classes or train-classes'):
        plot_classes([make_result('predict')], str(path))
