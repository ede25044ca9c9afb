"""The flags of the tools do what those of MMPretrain's tools do."""
import argparse
import importlib.util
import os
import runpy
import subprocess
import sys
from pathlib import Path

import mmengine
import mmpretrain
import pytest
from mmengine.config import Config

from intr_mm.command_line import machine
from intr_mm_flags import ToolParser
from ..tiny import CONFIG, ROOT, data_options, save_model, tiny_model

OURS = ROOT / 'tools'
THEIRS = Path(mmpretrain.__file__).parent / '.mim' / 'tools'


@pytest.fixture(autouse=True)
def local_rank(monkeypatch):
    """Keep the tools from setting it for the tests to come."""
    monkeypatch.setenv('LOCAL_RANK', '0')


def merged_config(folder, name, monkeypatch, *flags, device='cuda'):
    """The config that a tool hands to the runner."""
    # MMPretrain's --amp is for accelerators only
    monkeypatch.setattr('mmengine.device.get_device', lambda: device)
    path = folder / name
    spec = importlib.util.spec_from_file_location(f'tool_{path.stem}', path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(sys, 'argv', [name, *flags])
    args = tool.parse_args()
    cfg = Config.fromfile(args.config)
    tool.merge_args(cfg, args)
    return cfg.to_dict()


def compare(name, monkeypatch, *flags):
    ours = merged_config(OURS, name, monkeypatch, *flags)
    theirs = merged_config(THEIRS, name, monkeypatch, *flags)
    for cfg in (ours, theirs):
        # where the tools keep them is their own affair
        cfg.pop('tta_model', None)
        cfg.pop('tta_pipeline', None)
        for field in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            loader = cfg[field] or {}
            # MMPretrain's default cannot batch images of different sizes
            loader.pop('collate_fn', None)
            # pinned memory warns where there is no GPU, and persistent
            # workers are an error where there are none
            if '--no-pin-memory' not in flags:
                loader.pop('pin_memory', None)
            if loader.get('num_workers') == 0:
                loader.pop('persistent_workers', None)
    assert ours == theirs
    return ours


@pytest.mark.parametrize('flags', [
    ['--work-dir', 'somewhere', '--resume', '--local-rank', '1'],
    ['--resume', 'epoch_1.pth', '--no-validate', '--launcher', 'pytorch'],
    ['--amp', '--no-pin-memory', '--no-persistent-workers'],
    [
        '--auto-scale-lr', '--cfg-options', 'train_cfg.max_epochs=7',
        'model.data_preprocessor.mean=1,2,3'
    ],
])
def test_train(monkeypatch, flags, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(f"_base_ = '{CONFIG}'\n"
                      'auto_scale_lr = dict(base_batch_size=16)')
    compare('train.py', monkeypatch, str(config), *flags)


@pytest.mark.parametrize('flags', [
    ['--work-dir', 'somewhere', '--out', 'out.pkl', '--amp'],
    ['--tta', '--no-pin-memory', '--launcher', 'slurm'],
    [
        '--show-dir', 'pictures', '--show', '--interval', '3', '--wait-time',
        '1'
    ],
    ['--cfg-options', 'test_dataloader.batch_size=1'],
])
def test_test(monkeypatch, flags):
    cfg = compare('test.py', monkeypatch, CONFIG, 'epoch_1.pth', *flags)
    assert cfg['load_from'] == 'epoch_1.pth'


def test_missing_data_ends_in_one_sentence(run_tool, tmp_path):
    message = f"^train.py: Data folder '{tmp_path}/train'.* not exist"
    with pytest.raises(SystemExit, match=message):
        run_tool('train.py', CONFIG, '--cfg-options',
                 f'train_dataloader.dataset.data_root={tmp_path}')


@pytest.mark.parametrize('supported', [True, False])
def test_amp_on_cpu(monkeypatch, supported):
    monkeypatch.setattr(machine, '_cpu_has_bfloat16', lambda: supported)
    cfg = merged_config(
        OURS, 'train.py', monkeypatch, CONFIG, '--amp', device='cpu')
    wrapper = cfg['optim_wrapper'].get('type')
    assert wrapper == ('BFloat16OptimWrapper' if supported else None)


@pytest.mark.parametrize('name, flags, load', [
    ('OUT.PKL', (), mmengine.load),
    ('OUT.CSV', (), lambda file, _: file.read_text().startswith('path,true')),
    ('OUT.JSON', (), mmengine.load),
    ('OUT.YAML', ('--out-item', 'metrics'), mmengine.load),
])
def test_endings_in_any_case(images, tmp_path, run_tool, name, flags, load):
    checkpoint = save_model(tiny_model(), tmp_path / 'drawn.pth')
    out = tmp_path / name
    run_tool(
        'test.py', CONFIG, checkpoint, '--work-dir', tmp_path, '--out', out,
        *flags, '--cfg-options',
        *(f'{key}={value}' for key, value in data_options(images).items()))
    assert load(out, out.suffix[1:].lower())


TOOLS = sorted((ROOT / 'tools').rglob('*.py'))


@pytest.mark.parametrize('tool', TOOLS, ids=lambda tool: tool.stem)
def test_help_and_wrong_flags_import_nothing_that_takes_seconds(tool):
    for flag in ('--help', '--no-such-flag'):
        done = subprocess.run([sys.executable, '-X', 'importtime', tool, flag],
                              env=dict(os.environ, PYTHONPATH=str(ROOT)),
                              capture_output=True,
                              text=True)
        assert done.returncode == (0 if flag == '--help' else 2), done.stderr
        packages = {
            line.split('|')[-1].split('.')[0].strip()
            for line in done.stderr.splitlines()
            if line.startswith('import time:')
        }
        assert 'argparse' in packages or tool.stem == 'launch'
        assert packages.isdisjoint(
            ('intr_mm', 'mmengine', 'mmpretrain', 'mmdet', 'mmcv', 'torch',
             'numpy', 'matplotlib', 'cv2'))


@pytest.mark.parametrize(
    'tool', [tool for tool in TOOLS if 'ToolParser(' in tool.read_text()],
    ids=lambda tool: tool.stem)
def test_help_shows_defaults_and_an_example(tool, monkeypatch, capsys):
    """The example is one that the tool takes."""
    parsers = []
    init = ToolParser.__init__
    monkeypatch.setattr(
        ToolParser, '__init__',
        lambda parser, *args: parsers.append(parser) or init(parser, *args))
    monkeypatch.syspath_prepend(tool.parent)
    parse_args = runpy.run_path(str(tool))['parse_args']
    monkeypatch.setattr(sys, 'argv', [tool.name, '--help'])
    with pytest.raises(SystemExit) as end:
        parse_args()
    assert end.value.code == 0
    parser, = parsers
    shown = ' '.join(capsys.readouterr().out.split())
    for action in parser._actions:
        name = '/'.join(action.option_strings) or action.dest
        assert action.help, name
        if action.default not in (None, False, argparse.SUPPRESS, []):
            assert 'default' in parser._get_formatter()._get_help_string(
                action), name
    example = shown.partition('Example: ')[2].replace('\\ ', '')
    python, path, *args = example.split()
    assert (python, ROOT / path) == ('python', tool)
    monkeypatch.setattr(sys, 'argv', [tool.name, *args])
    parse_args()
