"""What the README says to type can be typed."""
import re

import pytest
from mmengine.config import Config
from mmpretrain.registry import HOOKS

from intr_mm.engine.hooks import AttentionVisualizationHook
from .tiny import DEMO, ROOT, save_demo, write_birds

README = (ROOT / 'README.md').read_text()


def blocks(language):
    return re.findall(rf'```{language}\n(.*?)```', README, re.S)


def test_models_are_found_by_name(capsys):
    by_name, *_ = blocks('python')
    assert 'pretrained=True' in by_name
    names = {}
    # the tests have no network
    exec(by_name.replace(', pretrained=True', ''), names)
    assert names['model'].head.num_classes == 200
    assert "'intr_r50_cub'" in capsys.readouterr().out


def test_python_runs():
    _, snippet, *_ = blocks('python')
    names = {}
    exec(snippet, names)
    assert names['logits'].shape == (2, 20)
    assert names['attention'].shape == (2, 3, 8, 10, 9)


def test_inferencer_runs(tmp_path):
    *_, inferencer = blocks('python')
    write_birds(tmp_path, (40, 60))
    for name, path in {
            'configs/intr_demo.py': DEMO,
            'work_dirs/intr_demo/epoch_4.pth':
            save_demo(tmp_path / 'drawn.pth'),
            'bird.jpg': str(tmp_path / 'bird_0.png')
    }.items():
        assert f"'{name}'" in inferencer
        inferencer = inferencer.replace(f"'{name}'", repr(path))
    names = {}
    exec(inferencer, names)
    assert names['attention'].shape == (2, 4, 40, 60)


def test_config_inherits(tmp_path):
    _, _, model, hook, _ = blocks('python')
    (tmp_path / 'config.py').write_text(model + hook)
    cfg = Config.fromfile(tmp_path / 'config.py')
    assert cfg.model.head.type == 'INTRHead'
    assert cfg.model.head.in_channels == 768
    hook = HOOKS.build(cfg.default_hooks.visualization)
    assert hook.enable and isinstance(hook, AttentionVisualizationHook)


# Not those inside other packages, as mmpretrain::....
PATHS = re.findall(r'(?<![\w./:-])[\w./-]+\.(?:py|sh|png|txt)\b', README)


@pytest.mark.parametrize('path', sorted(set(PATHS)))
def test_files_exist(path):
    assert (ROOT / path).exists()


def test_package_map():
    text = README.split('## Map of the package')[1].split('```')[1]
    paths = [path for line in text.splitlines() for path in line[:45].split()]
    assert any(path.startswith('intr_mm/') for path in paths)
    for path in paths:
        assert (ROOT / path).exists(), path


def test_make_targets_exist():
    makefile = (ROOT / 'Makefile').read_text()
    targets = re.findall(r'^make (\w+)', README, re.M)
    assert 'demo' in targets
    for target in targets:
        assert re.search(rf'^{target}:', makefile, re.M)
