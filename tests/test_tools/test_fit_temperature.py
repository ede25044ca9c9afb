import json

import pytest
import torch

from intr_mm.checkpoints import stored_temperature
from ..tiny import CONFIG, data_options, save_model, tiny_model

TOOL = 'analysis_tools/fit_temperature.py'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    # Far too sure of what it does not know.
    model = tiny_model(std=5)
    torch.nn.init.normal_(model.head.presence_vector.weight, std=20)
    return save_model(model, tmp_path_factory.mktemp('weights') / 'tiny.pth')


@pytest.fixture
def run(images, checkpoint, tmp_path, monkeypatch, run_tool):

    def run(*flags, **options):
        out = tmp_path / 'figures.JSON'  # in any case
        options = dict(data_options(images), **options)
        monkeypatch.chdir(tmp_path)
        run_tool(TOOL, CONFIG, checkpoint, '--out', out, *flags,
                 '--cfg-options',
                 *(f'{key}={value}' for key, value in options.items()))
        assert [path.name for path in tmp_path.iterdir()] == [out.name]
        return json.loads(out.read_text())

    return run


def test_test_split_judges_what_validation_fitted(run, capsys, checkpoint):
    figures = run(**{'test_dataloader.dataset.data_prefix': 'train'})
    temperature = figures['temperature']
    assert stored_temperature(checkpoint) == temperature
    fitted, held_out = figures['fitted'], figures['held_out']
    assert (fitted['split'], fitted['num_images']) == ('val (fitted)', 11)
    assert (held_out['split'], held_out['num_images']) == ('test', 18)
    assert held_out['temperature'] == temperature > 1.5
    for row in (fitted, held_out):
        assert row['after']['nll'] < row['before']['nll']
        assert row['after']['confidence'] < row['before']['confidence']
        assert row['after']['accuracy'] == row['before']['accuracy']
    output = capsys.readouterr().out
    assert f'Temperature {temperature:.4f}, fitted to the val' in output
    row, = (row for row in output.splitlines() if row.startswith('test '))
    assert f"{held_out['before']['ece']:.2f}%" in row
    assert f"{held_out['after']['ece']:.2f}%" in row


@pytest.mark.parametrize('split', ['val', 'test'])
def test_halves_judge_each_other_where_there_is_no_other_split(run, split):
    figures = run('--split', split)
    assert figures['fitted']['num_images'] == 11
    held_out = figures['held_out']
    assert held_out['split'] == f'held-out half of {split}'
    assert held_out['num_images'] == 5
    assert held_out['temperature'] != figures['temperature']


def test_missing_split_is_named(checkpoint, tmp_path, run_tool):
    config = tmp_path / 'config.py'
    config.write_text(f"_base_ = '{CONFIG}'\n"
                      'val_dataloader = val_cfg = val_evaluator = None')
    with pytest.raises(SystemExit, match='has no val_dataloader'):
        run_tool(TOOL, config, checkpoint)
