"""The tool, beside a stand-in for the official code."""
import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import cv2
import pytest

from ..tiny import CONFIG, ROOT, write_images
from .official_stub import write_stub

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'benchmark.py'
SMALL = [
    '--img-size', '48', '64', '--train-img-size', '48', '48',
    '--classes-img-size', '48', '48', '--train-batch-size', '2',
    '--batch-sizes', '2', '--classes', '3', '--class-counts', '3', '5',
    '--threads', '1', '--repeat', '2'
]


def run(monkeypatch, *args):
    monkeypatch.setattr(sys, 'argv', ['benchmark.py', *map(str, args), *SMALL])
    runpy.run_path(str(TOOL), run_name='__main__')


@pytest.mark.slow
@pytest.mark.heavy
def test_beside_official(monkeypatch, tmp_path, capsys):
    config = write_stub(tmp_path, wrong_for=5)
    write_images(tmp_path / 'images')
    out, plot = tmp_path / 'out.json', tmp_path / 'plot.png'
    message = r'float32:\nclasses, 1 x 48x48, C=5: fp32 predict differs'
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, config, '--official', tmp_path, '--cases', 'predict',
            'train', 'classes', 'data', '--modes', 'fp32', '--photos',
            tmp_path / 'images' / 'train', '--num-photos', 5, '--out', out,
            '--plot', plot)
    table = capsys.readouterr().out
    for row in ('train, 2 x 48x48, C=3 .*official train ', 'C=5 .*FAILED',
                r'data, 5 photos .*fp32 augment +\| [\d.]+ s, [\d.]+/s'):
        assert re.search(row, table), row
    # two panels of the classes
    assert cv2.imread(str(plot)).shape == (600, 1500, 3)

    figures = json.loads(out.read_text())
    assert figures['machine']['threads'] == 1
    names = [case['case']['name'] for case in figures['cases']]
    assert names == ['predict', 'train', 'classes', 'classes', 'data']
    for case in figures['cases']:
        (comparison, ) = case['comparisons']
        assert len(comparison['speedups']) == 2
        for measurement in case['measurements']:
            assert len(measurement['seconds']) == 2 and min(
                measurement['seconds']) > 0
            assert measurement['failure'] is None
        if case['case']['name'] == 'data':
            assert case['case']['files'] == 5
            assert comparison['agreement'] is None
        else:
            wrong = case['case']['num_classes'] == 5
            assert comparison['agreement']['failed'] is wrong


def test_loading_beside_pillow(monkeypatch, tmp_path, same_process, capsys):
    write_images(tmp_path)
    out = tmp_path / 'out.json'
    run(monkeypatch, ROOT / 'configs' / 'intr_cub.py', '--cases', 'load',
        '--photos', tmp_path / 'train', '--num-photos', 3, '--out', out)
    assert re.search(r'load, 3 photos .*fp32 load +\| [\d.]+ s, [\d.]+/s',
                     capsys.readouterr().out)
    (case, ) = json.loads(out.read_text())['cases']
    operations = [m['task']['operation'] for m in case['measurements']]
    assert operations == ['load_by_pillow', 'load']


@pytest.mark.slow
@pytest.mark.heavy
def test_fast_modes(monkeypatch, tmp_path, same_process):
    out = tmp_path / 'out.json'
    run(monkeypatch, CONFIG, '--cases', 'predict', 'decoder', '--modes',
        'fp32', 'fast-fp32', 'fast-bf16', '--no-compile', '--memory-size', 4,
        5, '--out', out)
    for case in json.loads(out.read_text())['cases']:
        exact, low = (pair['agreement'] for pair in case['comparisons'])
        assert exact['exact'] and not exact['failed']
        assert not low['exact'] and exact['excess'] < low['excess'] < 0.1


def test_ours_alone(monkeypatch, tmp_path, same_process, capsys):
    out = tmp_path / 'out.json'
    run(monkeypatch, CONFIG, '--cases', 'decoder', 'explain', 'train-classes',
        '--modes', 'fp32', '--memory-size', 4, 5, '--out', out, '--profile')
    cases = json.loads(out.read_text())['cases']
    operations = [[
        measurement['task']['operation']
        for measurement in case['measurements']
    ] for case in cases]
    assert operations == [['decode']] * 2 + [['explain', 'scores']
                                             ] + [['train']] * 2
    assert 'aten::addmm' in capsys.readouterr().out
    for case in cases:
        for measurement in case['measurements']:
            seconds = [
                operation['seconds'] for operation in measurement['profile']
            ]
            assert sorted(seconds, reverse=True) == seconds
            assert len(seconds) == 10 and min(seconds) > 0
            shares = [
                operation['share'] for operation in measurement['profile']
            ]
            assert sum(shares) < 1
            total = seconds[0] / shares[0]
            assert shares == pytest.approx([s / total for s in seconds])
    explained = cases[2]['comparisons'][0]
    assert explained['agreement']['difference'] == 0


@pytest.mark.slow
@pytest.mark.heavy
def test_exported_beside_by_hand(monkeypatch, tmp_path, same_process):
    pytest.importorskip('openvino')
    out = tmp_path / 'out.json'
    run(monkeypatch, CONFIG, '--cases', 'predict', 'exported', '--modes',
        'fp32', 'exported-fp32', '--out', out)
    results = json.loads(out.read_text())['cases']
    operations = [[m['task']['operation'] for m in case['measurements']]
                  for case in results]
    assert operations == [['predict'] * 2, ['predict_by_hand', 'predict']]
    for case in results:
        (comparison, ) = case['comparisons']
        assert comparison['agreement']['exact']
        assert not comparison['agreement']['failed']
        assert comparison['agreement']['difference'] > 0


def test_exported_needs_openvino(monkeypatch):
    monkeypatch.setattr('intr_mm.deploy.session.find_spec', lambda name: None)
    monkeypatch.setattr('benchmarks.cases.check_requirements', lambda: None)
    with pytest.raises(SystemExit, match='run `pip install openvino`'):
        run(monkeypatch, CONFIG, '--cases', 'exported', '--modes',
            'exported-fp32')


def test_exported_runs_on_the_cpu_alone(monkeypatch):
    monkeypatch.setattr('torch.cuda.device_count', lambda: 1)
    with pytest.raises(SystemExit, match='CPU alone, not on cuda:0'):
        run(monkeypatch, CONFIG, '--cases', 'exported', '--modes',
            'exported-fp32', '--device', 'cuda:0')


@pytest.mark.parametrize('config, folder, message', [
    (CONFIG, 'nowhere', 'has no models/intr.py: name a checkout'),
    (CONFIG, '', 'leave --official out'),
])
def test_refuses_in_one_sentence(monkeypatch, tmp_path, config, folder,
                                 message):
    write_stub(tmp_path, wrong_for=5)
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, config, '--official', tmp_path / folder, '--cases',
            'predict')


def test_refuses_a_folder_without_photos(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match='holds no class folders'):
        run(monkeypatch, CONFIG, '--cases', 'data', '--photos', tmp_path)


def test_works_is_the_former_name_of_cases(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match='holds no class folders'):
        run(monkeypatch, CONFIG, '--works', 'data', '--photos', tmp_path)


def test_without_a_checkout(tmp_path):
    tool = tmp_path / 'tools' / 'analysis_tools' / 'benchmark.py'
    tool.parent.mkdir(parents=True)
    shutil.copy(TOOL, tool)
    with pytest.raises(SystemExit, match='run benchmark.py in a checkout'):
        runpy.run_path(str(tool), run_name='__main__')
