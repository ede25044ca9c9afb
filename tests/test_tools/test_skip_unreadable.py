"""Tests and evaluations of folders in which images cannot be read."""
import json
import shutil

import pytest

from ..tiny import CONFIG, data_options, save_model, tiny_model
from .conftest import dist_tool, free_port, run

CUT = 'val/class_1/2.jpg'


@pytest.fixture(scope='module')
def damaged(images, tmp_path_factory):
    """The images, of which one is cut, and without it."""
    root = tmp_path_factory.mktemp('damaged')
    for name in ('cut', 'without'):
        shutil.copytree(images, root / name)
        image = root / name / CUT
        image.write_bytes(image.read_bytes()[:-200])
    image.unlink()
    return root


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('drawn') / 'drawn.pth'
    return save_model(tiny_model(std=5), path)


def options(root, *more):
    pairs = (f'{key}={value}' for key, value in data_options(root).items())
    return '--cfg-options', *pairs, *more


def test_figures_are_those_without_it(damaged, checkpoint, tmp_path, run_tool,
                                      monkeypatch, capfd):
    monkeypatch.setenv('LOCAL_RANK', '0')

    def test(name, item):
        out = tmp_path / f'{name}_{item}.json'
        run_tool('test.py', CONFIG, checkpoint, '--skip-unreadable',
                 '--work-dir', tmp_path / f'{name}_{item}', '--out', out,
                 '--out-item', item, *options(damaged / name))
        return json.loads(out.read_text())

    metrics = test('cut', 'metrics')
    reason, = metrics.pop('unreadable')
    assert f"Image '{damaged}/cut/{CUT}' cannot be read" in reason
    assert metrics == test('without', 'metrics')
    tables = test('cut', 'pred')
    assert tables['unreadable'] == [reason]
    assert len(tables['predictions']) == 10
    printed = ''.join(capfd.readouterr())
    assert 'Of the 11 images of test_dataloader, 1 cannot be' in printed
    assert 'These figures are of 10 of 11 images' in printed

    with pytest.raises(SystemExit, match=f"{CUT}' cannot be read"):
        run_tool('test.py', CONFIG, checkpoint, '--work-dir', tmp_path,
                 *options(damaged / 'cut'))


def test_training_validates_without_it(damaged, tmp_path, run_tool, capfd):
    args = 'train.py', CONFIG, '--work-dir', tmp_path, *options(
        damaged / 'cut', 'train_cfg.max_epochs=1')
    with pytest.raises(SystemExit, match=f"{CUT}' cannot be read"):
        run_tool(*args)
    capfd.readouterr()
    run_tool(*args, '--overwrite', '--skip-unreadable')
    printed = ''.join(capfd.readouterr())
    assert 'Of the 11 images of val_dataloader, 1 cannot be read' in printed
    assert 'Epoch(val) [1][4/4]' in printed


def test_explanations_are_evaluated_without_it(damaged, checkpoint, tmp_path,
                                               run_tool, capfd):
    out = tmp_path / 'out'
    run_tool('analysis_tools/evaluate_explanations.py', CONFIG, checkpoint,
             '--skip-unreadable', '--max-samples', 5, '--no-grad-cam',
             '--steps', 1, '--out', out,
             *options(damaged / 'cut', 'test_dataloader.dataset.indices=-7'))
    table = json.loads((out / 'explanations.json').read_text())
    assert table['num_images'] == 4 and len(table['unreadable']) == 1
    assert 'figures are of 4 of 5 images' in ''.join(capfd.readouterr())


@pytest.mark.heavy
@pytest.mark.slow
def test_two_processes(damaged, checkpoint, tmp_path):
    log = run(
        dist_tool('dist_test.sh', checkpoint, 2),
        damaged / 'cut',
        tmp_path,
        '--skip-unreadable',
        '--out',
        str(tmp_path / 'out.json'),
        PORT=free_port())
    found = json.loads((tmp_path / 'out.json').read_text())
    assert len(found['predictions']) == 10 and len(found['unreadable']) == 1
    assert log.count('These figures are of 10 of 11 images') == 1
