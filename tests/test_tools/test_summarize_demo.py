import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/summarize_demo.py'


def run(folder):
    return subprocess.run([sys.executable, TOOL, folder],
                          capture_output=True,
                          text=True)


@pytest.fixture
def demo(tmp_path):
    test = {'accuracy/top1': 11.1}
    for index, region in enumerate(('bird', 'telling')):
        for step, control in enumerate(('', '_area', '_shuffled')):
            test[f'pointing/{region}{control}'] = 21.1 + 30 * index + step
    (tmp_path / 'test.json').write_text(json.dumps(test))
    (tmp_path / 'counterfactual.json').write_text(
        json.dumps({
            'counterfactual/flips': 81.1,
            'counterfactual/counted': 42,
            'counterfactual/pointing': 91.1
        }))
    for run_name in ('20260101_000000', '20260102_000000'):
        folder = tmp_path / 'test' / run_name / 'vis_data/vis_image'
        folder.mkdir(parents=True)
        (folder / 'picture.png').touch()
    return tmp_path


def test_every_figure_stands_in_its_row(demo):
    rows = run(demo).stdout.splitlines()

    def figures(words):
        row, = (row for row in rows if row.startswith(words))
        return row[len(words):].replace('%', '').split()

    assert figures('top-1 accuracy') == ['11.1']
    assert figures('attention peaks on the bird') == ['21.1', '22.1', '23.1']
    assert figures('attention peaks on a telling part') == [
        '51.1', '52.1', '53.1'
    ]
    assert figures('repainting a part flips prediction') == ['81.1']
    assert figures('... and attention had peaked there') == ['91.1']
    assert figures('recognised (') == ['42', 'pairs).']


def test_only_pictures_of_the_last_run_are_listed(demo):
    output = run(demo).stdout
    assert '20260102_000000/vis_data/vis_image/picture.png' in output
    assert '20260101_000000' not in output


def test_missing_metrics_are_named(demo):
    (demo / 'counterfactual.json').unlink()
    done = run(demo)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert f"{demo / 'counterfactual.json'} is missing" in done.stderr
