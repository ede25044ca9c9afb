"""What README and docs say to type can be typed."""
import re

import pytest
import torch
from mmengine.config import Config
from mmpretrain import get_model
from mmpretrain.registry import HOOKS, METRICS, MODELS, TRANSFORMS

from intr_mm.engine.hooks import AttentionVisualizationHook
from .docs_code import DOCS, PAGES, README, blocks, commands
from .tiny import DEMO, ROOT, save_demo, write_birds

FOLDERS = ('intr_mm', 'configs', 'tools', 'tests', 'demo', 'resources',
           'requirements', 'benchmarks')

every_page = pytest.mark.parametrize(
    'page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def run(code, **names):
    exec(code, names)
    return names


@pytest.fixture
def model():
    return get_model(Config.fromfile(DEMO), pretrained=False).eval()


def test_readme_is_short():
    assert len(README.read_text().splitlines()) <= 150


def test_readme_config_is_that_of_the_docs():
    config, = blocks(README, 'python')
    assert config == blocks(DOCS / 'user_guides/train_test.md', 'python')[0]


def test_config_inherits(tmp_path):
    config, hook, _ = blocks(DOCS / 'user_guides/train_test.md', 'python')
    (tmp_path / 'config.py').write_text(config + hook)
    cfg = Config.fromfile(tmp_path / 'config.py')
    assert cfg.model.head.type == 'INTRHead'
    assert cfg.model.head.in_channels == 768
    hook = HOOKS.build(cfg.default_hooks.visualization)
    assert hook.enable and isinstance(hook, AttentionVisualizationHook)


@pytest.mark.parametrize('page', ['own_photos', 'own_backbone'])
def test_configs_of_tutorials_inherit(page, tmp_path):
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    config = blocks(DOCS / f'tutorials/{page}.md', 'python')[0]
    config = config.replace("'./", "'./configs/")
    (tmp_path / 'config.py').write_text(config)
    cfg = Config.fromfile(tmp_path / 'config.py')
    if page == 'own_photos':
        assert cfg.train_cfg.max_epochs == 40
        assert cfg.test_dataloader.dataset.data_root == 'photos'
        assert cfg.test_evaluator[1].type == 'EvenAttention'
    else:
        model = MODELS.build(cfg.model)
        assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 200)


def test_get_started_runs():
    snippet, = blocks(DOCS / 'get_started.md', 'python')
    names = run(snippet)
    assert names['logits'].shape == (2, 20)
    assert names['attention'].shape == (2, 3, 8, 10, 9)


def test_models_are_found_by_name(capsys):
    by_name, = blocks(DOCS / 'user_guides/checkpoints.md', 'python')
    assert 'pretrained=True' in by_name
    # the tests have no network
    names = run(by_name.replace(', pretrained=True', ''))
    assert names['model'].head.num_classes == 200
    assert "'intr_r50_cub'" in capsys.readouterr().out


def test_inferencer_runs(tmp_path):
    inferencer = blocks(DOCS / 'user_guides/inference.md', 'python')[0]
    write_birds(tmp_path, (40, 60))
    for name, path in {
            'configs/intr_demo.py': DEMO,
            'work_dirs/intr_demo/epoch_4.pth':
            save_demo(tmp_path / 'drawn.pth'),
            'bird.jpg': str(tmp_path / 'bird_0.png')
    }.items():
        assert f"'{name}'" in inferencer
        inferencer = inferencer.replace(f"'{name}'", repr(path))
    assert run(inferencer)['attention'].shape == (2, 4, 40, 60)


def test_maps_of_a_model(model):
    snippet = blocks(DOCS / 'user_guides/inference.md', 'python')[1]
    names = run(snippet, model=model)
    assert names['maps'].shape == (1, 4, 4, 28, 36)
    assert names['geometry'].stride == 8


def test_metrics_can_be_built():
    snippet, = blocks(DOCS / 'user_guides/evaluation.md', 'python')
    for metric in run(snippet)['test_evaluator']:
        METRICS.build(metric)


def test_small_snippets_run(model, capsys):
    fast, views = blocks(DOCS / 'user_guides/speed_memory.md', 'python')
    TRANSFORMS.build(run(views)['augmentation'])
    assert run(fast, model=model)['fast'] is not model
    geometry = blocks(DOCS / 'tutorials/own_backbone.md', 'python')[1]
    run(geometry, model=model)
    assert 'stride=8' in capsys.readouterr().out


@every_page
def test_paths_exist(page):
    text = page.read_text().replace('configs/my_photos.py', '')
    pattern = rf'(?<![\w./:-])(?:{"|".join(FOLDERS)})/[\w./-]*\w'
    for path in set(re.findall(pattern, text)):
        assert (ROOT / path).exists(), path


def test_links_of_the_readme_exist():
    links = re.findall(r'\]\((?!http)([^)#]+)', README.read_text())
    assert len(links) > 20
    for path in links:
        assert (ROOT / path).exists(), path


@every_page
def test_flags_exist(page):
    shared = (*ROOT.glob('benchmarks/*.py'), *ROOT.glob('intr_mm_flags/*.py'))
    shared = ''.join(path.read_text() for path in shared)
    for line in commands(page):
        tool = re.search(r'\btools/[\w/]+\.(py|sh)', line)
        if tool is None:
            continue
        name = re.sub(r'dist_(\w+)\.sh', r'\1.py', tool[0])
        source = (ROOT / name).read_text() + shared
        for flag in re.findall(r'(?<=\s)--[\w-]+', line):
            assert f"'{flag}'" in source, line


@every_page
def test_make_targets_exist(page):
    makefile = (ROOT / 'Makefile').read_text()
    for line in commands(page):
        target = re.match(r'make ([\w-]+)', line)
        if target is not None:
            assert re.search(rf'^{target[1]}:', makefile, re.M), line
