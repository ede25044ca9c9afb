"""The model index is complete, and its FLOPs and parameters are counted."""
import importlib
import subprocess
import sys

import pytest
import torch
import yaml
from mmengine.analysis import FlopAnalyzer
from mmengine.analysis.jit_handles import get_shape
from mmengine.config import Config

from intr_mm.models.attention import MultiheadAttention
from .tiny import CONFIG, ROOT, tiny_model

SHAPE = (48, 56)


@pytest.fixture
def load_tool(monkeypatch):
    """Import tools as they import each other."""
    monkeypatch.syspath_prepend(ROOT / 'tools' / 'analysis_tools')
    return importlib.import_module


def model_name(stem):
    """Files that name no backbone are those of ResNet-50."""
    if stem == 'intr_cub_dc5':
        return 'intr_r50-dc5_cub'
    data = stem.split('_')[1]
    if data in ('bird', 'butterfly', 'car', 'craft', 'cub', 'dog', 'fish',
                'folder', 'pet'):
        return stem.replace('intr_', 'intr_r50_', 1)
    return stem


def test_every_config_has_an_entry():
    metafile = yaml.safe_load((ROOT / 'configs/metafile.yml').read_text())
    entries = {model['Config']: model['Name'] for model in metafile['Models']}
    assert len(entries) == len(metafile['Models'])
    assert entries == {
        f'configs/{path.name}': model_name(path.stem)
        for path in (ROOT / 'configs').glob('*.py')
        # Another evaluation of the same model.
        if not path.stem.endswith('_counterfactual')
    }


@pytest.mark.slow
def test_figures_are_up_to_date():
    """As a module, which does not look beside itself for other tools."""
    command = [sys.executable, '-m', 'tools.analysis_tools.update_metafile']
    subprocess.run([*command, '--check'], cwd=ROOT, check=True)


def test_wrong_figures_are_told(monkeypatch, capsys, tmp_path, load_tool):
    tool = load_tool('update_metafile')
    entry = ('  - Name: intr_demo\n    Config: configs/intr_demo.py\n'
             '    Metadata:\n      FLOPs: 1\n      # of birds\n')
    monkeypatch.setattr(tool, 'METAFILE', tmp_path / 'metafile.yml')
    tool.METAFILE.write_text(entry)
    monkeypatch.setattr(sys, 'argv', ['update_metafile.py', '--check'])
    with pytest.raises(SystemExit, match='is out of date'):
        tool.main(tool.parse_args())
    assert '-      FLOPs: 1' in capsys.readouterr().out
    assert tool.METAFILE.read_text() == entry

    monkeypatch.setattr(sys, 'argv', ['update_metafile.py'])
    tool.main(tool.parse_args())
    written = yaml.safe_load(tool.METAFILE.read_text())[0]['Metadata']
    _, flops, parameters = load_tool('get_flops').count_config(
        Config.fromfile(ROOT / 'configs/intr_demo.py'))
    assert written == dict(
        FLOPs=sum(flops.values()), Parameters=sum(parameters.values()))
    assert '      # of birds\n' in tool.METAFILE.read_text()


@pytest.mark.parametrize('config, shape', [
    ('intr_cub.py', (800, 1067)),
    ('intr_swin-tiny_in1k.py', (224, 224)),
    ('intr_cub50_dinov2-small_frozen_224px.py', (224, 308)),
    ('intr_demo.py', (96, 96)),
])
def test_input_is_that_of_the_test_pipeline(load_tool, config, shape):
    cfg = Config.fromfile(ROOT / 'configs' / config)
    assert load_tool('get_flops').input_shape(cfg) == shape


def test_attention_by_hand(load_tool):
    """Four projections, scores of 2 heads and their sum over the values."""

    class Model(torch.nn.Module):

        def __init__(self):
            super().__init__()
            self.attention = MultiheadAttention(16, 2)

        def forward(self, image):
            x = image[:, :1].flatten(2).expand(-1, 16, -1).transpose(1, 2)
            return self.attention(x[:, :5], key=x)

    queries, cells, dims = 5, 3 * 4, 16
    projections = 2 * (queries + cells) * dims**2
    assert load_tool('get_flops').count_flops(
        Model(),
        (3, 4)) == dict(attention=projections + 2 * queries * cells * dims)


def test_counts_are_those_of_mmengine(load_tool):
    """But for attention, which mmengine leaves out, and norms, which PyTorch
    leaves out."""
    cfg = Config.fromfile(CONFIG)
    model = tiny_model()

    def count_attention(inputs, outputs):
        query, key, value = map(get_shape, inputs[:3])
        rows = torch.Size(query[:-1]).numel()
        return rows * key[-2] * (query[-1] + value[-1])

    analyzer = FlopAnalyzer(model, (torch.zeros(1, 3, *SHAPE), ))
    analyzer.set_op_handle('aten::scaled_dot_product_attention',
                           count_attention)
    for norm in ('batch_norm', 'layer_norm'):
        analyzer.set_op_handle(f'aten::{norm}', lambda inputs, outputs: 0)
    shape, flops, parameters = load_tool('get_flops').count_config(cfg, SHAPE)
    assert shape == SHAPE
    assert flops == {
        part: analyzer.by_module()[part]
        for part in ('backbone', 'neck', 'head')
    }
    assert sum(flops.values()) == analyzer.total()
    assert sum(parameters.values()) == sum(p.numel()
                                           for p in model.parameters())


def test_tool(run_tool, capsys, load_tool):
    tool = load_tool('get_flops')
    run_tool('analysis_tools/get_flops.py', CONFIG, '--shape', '64')
    out = capsys.readouterr().out
    assert 'Input shape: (3, 64, 64)' in out
    _, flops, _ = tool.count_config(Config.fromfile(CONFIG), (64, 64))
    for count in (flops['head'], sum(flops.values())):
        assert f' {count:,}\n' in out

    folder = ROOT / 'configs' / 'intr_folder.py'
    with pytest.raises(SystemExit):
        run_tool('analysis_tools/get_flops.py', CONFIG, '--shape', '10000000')
    assert "1 to 65535, got '10000000'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match='number of classes from its data'):
        run_tool('analysis_tools/get_flops.py', folder)
