import json

import mmcv
import numpy as np
import pytest


@pytest.fixture
def run(run_tool, capsys):

    def run(*folders):
        run_tool('analysis_tools/summarize_demo.py', *folders)
        return capsys.readouterr().out

    return run


@pytest.fixture
def demo(tmp_path):
    return write_demo(tmp_path)


def write_demo(tmp_path, **further):
    test = {'accuracy/top1': 11.1}
    for index, region in enumerate(('bird', 'telling')):
        for step, control in enumerate(('', '_area', '_shuffled')):
            test[f'pointing/{region}{control}'] = 21.1 + 30 * index + step
    test.update(further)
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
        size = (20, 30 if further else 20, 3)
        mmcv.imwrite(np.full(size, 50, np.uint8), str(folder / 'picture.png'))
    return tmp_path


def test_every_figure_stands_in_its_row(demo, run):
    rows = run(demo).splitlines()

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


def test_heads_stand_side_by_side(tmp_path, run):
    """And what a folder lacks is left out."""
    for name in ('paper', 'evidence'):
        (tmp_path / name).mkdir()
    paper = write_demo(tmp_path / 'paper')
    evidence = write_demo(
        tmp_path / 'evidence', **{
            'accuracy/top1': 97.9,
            'even_attention/top1': 8.3,
            'even_attention/chance': 100 / 12,
            'even_attention/margin': 100.,
            'margin/differing': 61.1,
        })
    output = run(paper, evidence)
    rows = {
        row[:37].strip(): row[37:].replace('%', '').split()
        for row in output.splitlines()
    }
    assert rows['RingSpecies, test split'] == ['INTR', 'Evidence']
    assert rows['top-1 accuracy'] == ['11.1', '97.9']
    assert rows['... with even attention'] == ['8.3']
    assert rows['map peaks on a telling part'] == ['51.1', '51.1']
    assert rows['margin map peaks where rivals differ'] == ['61.1']
    assert 'agrees with the head it learned from' not in rows
    assert 'INTR: Whether the maps shown decide is not known.' in output
    assert ('Evidence: The maps shown decide: with even attention in their '
            'place 8.3 of 97.9 % top-1 remain (chance 8.3); they account for '
            '100 % of the margin.') in output
    assert '4 pictures' not in output and '2 pictures' in output
    both = mmcv.imread(str(evidence / 'both_heads.png'))
    assert both.shape == (40, 30, 3)
    assert (both[:20, 20:] == 255).all() and (both[20:] == 50).all()
    alone = run(evidence)
    assert 'The maps shown decide: ' in alone
    assert 'margin map peaks where rivals differ      61.1 %' in alone


def test_only_pictures_of_the_last_run_are_listed(demo, run):
    output = run(demo)
    assert '20260102_000000/vis_data/vis_image/picture.png' in output
    assert '20260101_000000' not in output


def test_missing_metrics_are_named(demo, run):
    (demo / 'counterfactual.json').unlink()
    with pytest.raises(SystemExit) as error:
        run(demo)
    message, = str(error.value).splitlines()
    assert f"{demo / 'counterfactual.json'} is missing" in message


@pytest.mark.parametrize('text, message', [
    ('{', 'is no JSON'),
    ('[1]', 'does not hold the number accuracy/top1'),
    ('{}', 'does not hold the number accuracy/top1'),
    ('{"accuracy/top1": "high"}', 'does not hold the number accuracy/top1'),
])
def test_files_of_something_else_are_named(demo, run, text, message):
    (demo / 'test.json').write_text(text)
    with pytest.raises(SystemExit, match=f'test.json {message}.*: write it'):
        run(demo)
