import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from intr_mm.visualization.explanation_table import (draw_table, format_table,
                                                     make_rows)
from ..tiny import DEMO, ROOT, save_demo

TOOL = ROOT / 'tools/analysis_tools/evaluate_explanations.py'
COLUMNS = [
    'attention', 'evidence', 'margin', 'chance', 'grad_cam', 'hires_cam',
    'finer_cam'
]
HEADS = ['head0', 'head1', 'head2', 'head3']


def blue(path):
    """Pixels of bars, (H, W)."""
    return (abs(cv2.imread(str(path)) - np.array([180., 119, 31])) < 9).all(-1)


@pytest.mark.slow
def test_one_table_of_all_columns(tmp_path):
    checkpoint = save_demo(tmp_path / 'drawn.pth')
    out = tmp_path / 'out'
    options = ['num_samples=9', f'cache_dir={tmp_path}']
    result = subprocess.run([
        sys.executable, TOOL, DEMO, checkpoint, '--max-samples', '6',
        '--sample-interval', '3', '--steps', '2', '--heads', '--out', out,
        '--cfg-options', *(f'test_dataloader.dataset.{option}'
                           for option in options)
    ],
                            capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stderr
    table = json.loads((out / 'explanations.json').read_text())
    rows = table['explanations']
    assert table['num_images'] == 6
    for name in ('pointing telling', 'pointing bird_mass',
                 'pointing differing', 'faithfulness insertion',
                 'faithfulness deletion', 'blanking flips',
                 'blanking flips_random'):
        assert list(rows[name]) == COLUMNS + HEADS, name
        for entry in rows[name].values():
            assert 0 <= entry['low'] <= entry['value'] + 1e-6
            assert entry['value'] <= entry['high'] + 1e-6 <= 100.01
    # two of the six images are changed
    assert rows['faithfulness num_images']['chance']['value'] == 2
    for name in ('accuracy/top1', 'calibration/ece', 'heads/diversity',
                 'distinctness/mean_map', 'even_attention/top1',
                 'even_attention/margin'):
        assert name in table['model']
    assert 'faithfulness insertion' in result.stdout
    assert table['verdict']['sentence'] in result.stdout
    assert table['verdict']['level'] in ('not', 'in part', 'unknown')
    assert blue(out / 'explanations.png').any()


def test_table():
    rows, model = make_rows({
        'accuracy/top1': 50.,
        'attention.blanking/flips': 40.,
        'attention.blanking/flips_low': 30.,
        'attention.blanking/flips_high': 50.,
        'attention.blanking/num_images': 9,
        'heads.blanking/num_images': 9,
        'heads.blanking/head1/flips': 10.
    })
    assert model == {'accuracy/top1': 50}
    assert rows == {
        'blanking flips': {
            'attention': dict(value=40, low=30, high=50),
            'head1': dict(value=10)
        },
        'blanking num_images': {
            'attention': dict(value=9),
            'head1': dict(value=9)
        }
    }
    lines = format_table(rows, model).splitlines()
    assert lines[0].split() == ['attention', 'head1']
    assert lines[1].split(maxsplit=2)[2] == '40.0 [30.0, 50.0]   10.0'
    assert lines[-1] == 'accuracy/top1  50.00'


def test_bars_are_as_high_as_their_values(tmp_path):
    row = {
        name: dict(value=value, low=value - 5, high=value + 5)
        for name, value in (('low', 20.), ('high', 80.))
    }
    draw_table(
        dict(hits=row, images=dict(low=dict(value=9.))),
        str(tmp_path / 'table.png'))
    bars = blue(tmp_path / 'table.png')
    columns = np.flatnonzero(bars.any(0))
    # The one gap between columns parts two bars, of one panel.
    gap, = np.flatnonzero(np.diff(columns) > 1)
    low, high = (
        bars[:, part].sum(0).max()
        for part in (columns[:gap + 1], columns[gap + 1:]))
    assert high / low == pytest.approx(4, rel=.05)


def test_a_note_stands_below_the_panels(tmp_path):
    rows = dict(hits=dict(one=dict(value=50., low=40., high=60.)))
    pictures = []
    for note in ('', 'The maps shown do not decide: ' + 20 * 'why '):
        path = str(tmp_path / 'table.png')
        draw_table(rows, path, note)
        pictures.append((cv2.imread(path) < 128).any((1, 2)))
    bare, noted = (np.flatnonzero(dark)[-1] for dark in pictures)
    assert noted >= bare - 9
    assert pictures[1].sum() != pictures[0].sum()


@pytest.mark.parametrize('rows', [{}, dict(a=dict(b=dict(value=1.)))])
def test_nothing_to_draw(rows, tmp_path):
    with pytest.raises(ValueError, match='no figure with an interval'):
        draw_table(rows, str(tmp_path / 'table.png'))
