"""The model index is complete, and its FLOPs and parameters are counted."""
import importlib.util
import sys

import pytest
import torch
import yaml
from mmengine.analysis import FlopAnalyzer
from mmengine.analysis.jit_handles import get_shape
from mmengine.config import Config
from torch.utils.flop_counter import FlopCounterMode

from intr_mm.models.transformer import MultiheadAttention
from intr_mm.utils.complexity import count_complexity, count_flops, input_shape
from .tiny import CONFIG, ROOT, tiny_model

SHAPE = (48, 56)


def load_tool(name):
    path = ROOT / 'tools' / 'analysis_tools' / f'{name}.py'
    spec = importlib.util.spec_from_file_location(name, path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


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
        # Another evaluation of intr_demo.
        if path.stem != 'intr_demo_counterfactual'
    }


@pytest.mark.slow
def test_figures_are_up_to_date(run_tool):
    run_tool('analysis_tools/update_metafile.py', '--check')


def test_wrong_figures_are_told(monkeypatch, capsys, tmp_path):
    tool = load_tool('update_metafile')
    entry = ('  - Name: intr_demo\n    Config: configs/intr_demo.py\n'
             '    Metadata:\n      FLOPs: 1\n      # of birds\n')
    monkeypatch.setattr(tool, 'METAFILE', tmp_path / 'metafile.yml')
    tool.METAFILE.write_text(entry)
    monkeypatch.setattr(sys, 'argv', ['update_metafile.py', '--check'])
    with pytest.raises(SystemExit, match='is out of date'):
        tool.main()
    assert '-      FLOPs: 1' in capsys.readouterr().out
    assert tool.METAFILE.read_text() == entry

    monkeypatch.setattr(sys, 'argv', ['update_metafile.py'])
    tool.main()
    written = yaml.safe_load(tool.METAFILE.read_text())[0]['Metadata']
    complexity = count_complexity(
        Config.fromfile(ROOT / 'configs/intr_demo.py'))
    assert written == dict(
        FLOPs=sum(complexity.flops.values()),
        Parameters=sum(complexity.parameters.values()))
    assert '      # of birds\n' in tool.METAFILE.read_text()


@pytest.mark.parametrize('config, shape', [
    ('intr_cub.py', (800, 1067)),
    ('intr_swin-tiny_in1k.py', (224, 224)),
    ('intr_cub50_dinov2-small_frozen_224px.py', (224, 308)),
    ('intr_demo.py', (96, 96)),
])
def test_input_is_that_of_the_test_pipeline(config, shape):
    assert input_shape(Config.fromfile(ROOT / 'configs' / config)) == shape


def test_attention_by_hand():
    """Four projections, scores of 2 heads and their sum over the values."""

    class Attend(torch.nn.Module):

        def __init__(self):
            super().__init__()
            self.layer = MultiheadAttention(16, 2)

        def forward(self, image):
            x = image[:, :1].flatten(2).expand(-1, 16, -1).transpose(1, 2)
            return self.layer(x[:, :5], key=x)

    queries, cells, dims = 5, 3 * 4, 16
    assert count_flops(Attend().eval(), (3, 4)) == dict(
        linear=2 * (queries + cells) * dims**2,
        scaled_dot_product_attention=2 * queries * cells * dims)


def tiny():
    return Config.fromfile(CONFIG), tiny_model(), torch.zeros(1, 3, *SHAPE)


def test_counts_are_those_of_mmengine():
    """Operator by operator, but for attention, which mmengine leaves out."""
    cfg, model, image = tiny()
    attention = 0

    def handle(inputs, outputs):
        nonlocal attention
        query, key, value = map(get_shape, inputs[:3])
        rows = torch.Size(query[:-1]).numel()
        count = rows * key[-2] * (query[-1] + value[-1])
        attention += count
        return count

    analyzer = FlopAnalyzer(model, (image, ))
    analyzer.set_op_handle('aten::scaled_dot_product_attention', handle)
    theirs = dict(analyzer.by_operator())
    ours = count_complexity(cfg, SHAPE)
    assert attention == ours.flops['scaled_dot_product_attention']
    assert {
        name.replace('conv2d', 'conv'): count
        for name, count in ours.flops.items()
    } == theirs
    assert sum(ours.parameters.values()) == sum(p.numel()
                                                for p in model.parameters())


@pytest.mark.skipif(
    not hasattr(torch.nn, 'attention'),
    reason='the kernel of attention cannot be chosen in this PyTorch')
def test_counts_are_those_of_torch():
    """PyTorch counts a multiply-add as two, and leaves out the norms."""
    cfg, model, image = tiny()
    math = torch.nn.attention.SDPBackend.MATH
    with torch.no_grad(), torch.nn.attention.sdpa_kernel(math), \
            FlopCounterMode(display=False) as counter:
        model.requires_grad_(False)(image)
    flops = count_complexity(cfg, SHAPE).flops
    assert counter.get_total_flops() == 2 * sum(
        count for name, count in flops.items() if not name.endswith('norm'))


def test_tool(run_tool, capsys):
    run_tool('analysis_tools/get_flops.py', CONFIG, '--shape', '64')
    out = capsys.readouterr().out
    assert 'Input shape: (3, 64, 64)' in out
    total = sum(
        count_complexity(Config.fromfile(CONFIG), (64, 64)).flops.values())
    assert f'{total:,}' in out

    folder = ROOT / 'configs' / 'intr_folder.py'
    with pytest.raises(SystemExit, match='number of classes from its data'):
        run_tool('analysis_tools/get_flops.py', folder)
