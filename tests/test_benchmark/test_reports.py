"""Results as text and as a picture."""
import numpy as np
import pytest

from benchmarks.cases import Case, Task
from benchmarks.results import (Measurement, Result, format_profiles,
                                format_results, plot_classes)


def make_result(name='classes', num_classes=200, failure=None):
    case = Case(name, num_classes, 1, (32, 48))
    official = Measurement(
        Task('official', 'predict'), [4., 6., 5.],
        900.,
        400.,
        output=np.array([[1., 2.]]))
    ours = Measurement(
        Task('fast-bf16', 'predict'), [2., 2., 2.],
        600.,
        100.,
        output=np.array([[1.5, 2.]]))
    if failure is not None:
        official = Measurement(official.task, failure=failure)
    return Result(case, [official, ours])


def cells(table):
    return [[cell.strip() for cell in line.strip('|').split('|')]
            for line in table.splitlines()[3:-1]]


def test_table_names_times_ratios_and_agreement():
    assert cells(format_results([make_result()])) == [
        [
            'classes, 1 x 32x48, C=200', 'official predict', '5 s', '',
            '400 (900)', '', ''
        ],
        [
            'classes, 1 x 32x48, C=200', 'fast-bf16 predict', '2 s',
            '2.5 [2, 3]', '100 (600)', '4 (1.5)',
            '5.0e-01 (2.5e-01 rel.), top-1 100%'
        ],
    ]


def test_table_says_why_nothing_was_measured():
    failed, healthy = cells(
        format_results([make_result(failure='out of memory')]))
    assert failed[1:] == ['official predict', 'out of memory', '', '', '', '']
    assert healthy[2:5] == ['2 s', '', '100 (600)']


def test_float32_has_to_agree():
    result = make_result()
    assert result.disagreements == []
    result.measurements[1].task = Task('fp32', 'predict')
    assert result.disagreements == [
        'classes, 1 x 32x48, C=200: fp32 predict differs from official '
        'predict by 5.0e-01'
    ]
    assert cells(format_results([result]))[1][6].endswith('FAILED')


def test_profiles_as_a_table():
    result = make_result()
    result.measurements[0].profile = [
        dict(name='aten::mm', calls=3, seconds=0.5, share=0.25)
    ]
    assert cells(format_profiles([result])) == [[
        'classes, 1 x 32x48, C=200', 'official predict', 'aten::mm', '3',
        '0.5', '25%'
    ]]


def test_plot_shows_a_line_for_each():
    figure = plot_classes([
        make_result(num_classes=3000, failure='out of memory'),
        make_result(num_classes=200),
        make_result('train-classes'),
    ])
    lines = [{
        line.get_label():
        [line.get_xdata().tolist(),
         line.get_ydata().tolist()]
        for line in axes.lines
    } for axes in figure.axes]
    assert lines == [
        dict(official=[[200], [5]], **{'fast-bf16': [[200, 3000], [2, 2]]}),
        dict(
            official=[[200], [400]],
            **{'fast-bf16': [[200, 3000], [100, 100]]}),
        dict(official=[[200], [5]], **{'fast-bf16': [[200], [2]]}),
        dict(official=[[200], [400]], **{'fast-bf16': [[200], [100]]}),
    ]
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[::2] == [
        'prediction, batch 1, 32x48', 'training step, batch 1, 32x48'
    ]
    with pytest.raises(ValueError, match='add classes or train-classes'):
        plot_classes([make_result('predict')])
