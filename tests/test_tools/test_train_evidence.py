import json

import pytest
import torch
from mmengine.config import Config

from ..tiny import CONFIG, data_options, save_model, tiny_cfg, tiny_model

TOOL = 'train_evidence.py'
LINEAR = dict(
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
    head=dict(
        _delete_=True, type='LinearClsHead', num_classes=3, in_channels=32))


@pytest.fixture
def train(images, tmp_path, monkeypatch, run_tool):

    def train(model, config=CONFIG, flags=(), **options):
        monkeypatch.chdir(tmp_path)
        path = save_model(model, tmp_path / 'trained.pth')
        options = {**data_options(images), **options}
        options = {k: v for k, v in options.items() if 'test' not in k}
        run_tool(TOOL, config, path, '--work-dir', 'out', '--max-epochs', '2',
                 '--lr', '.01', *flags, '--cfg-options',
                 'train_dataloader.num_workers=0',
                 'train_dataloader.persistent_workers=False',
                 *(f'{key}={value}' for key, value in options.items()))
        return torch.load(
            tmp_path / 'out' / 'epoch_2.pth', weights_only=False)['state_dict']

    return train


def figures(work_dir):
    log, = work_dir.glob('out/*/vis_data/scalars.json')
    return json.loads(log.read_text().splitlines()[-1])


def test_explains_an_intr(train, tmp_path):
    model = tiny_model(std=5)
    weights = train(model, flags=('--temperature', '2', '--cutmix', '1'))
    for name, value in model.state_dict().items():
        name = name.replace('head.', 'head.auxiliary.')
        assert torch.equal(weights[name], value), name
    assert 0 <= figures(tmp_path)['teacher/agreement'] <= 100
    cfg = Config.fromfile(tmp_path / 'out' / 'tiny_intr.py')
    assert cfg.model.head.auxiliary.type == 'INTRHead'
    assert (cfg.model.head.temperature, cfg.model.head.cutmix) == (2, 1)


def test_explains_a_stock_classifier(train, tmp_path):
    config = Config.fromfile(CONFIG)
    config.model = tiny_cfg(type='ImageClassifier', **LINEAR)
    config.dump(tmp_path / 'linear.py')
    model = tiny_model(type='ImageClassifier', **LINEAR)
    weights = train(model, tmp_path / 'linear.py')
    for name in ('weight', 'bias'):
        assert torch.equal(weights[f'head.auxiliary.fc.{name}'],
                           model.state_dict()[f'head.fc.{name}'])
    assert weights['head.input_proj.weight'].shape == (256, 32, 1, 1)


@pytest.mark.parametrize('change, problem', [
    (dict(head__num_classes=4), 'head.auxiliary.*shape'),
    (dict(head__num_layers=2), 'head.auxiliary.decoder.layers.1.*no place'),
])
def test_refuses_weights_of_another_model(train, change, problem):
    with pytest.raises(SystemExit, match=problem):
        train(tiny_model(**change))


@pytest.mark.parametrize('lr', ['0', '-1', 'nan', 'inf'])
def test_a_learning_rate_that_trains_nothing(run_tool, capsys, lr):
    with pytest.raises(SystemExit):
        run_tool(TOOL, CONFIG, 'trained.pth', f'--lr={lr}')
    assert f"--lr: has to be 1e-08 or more, got '{lr}'" in (
        capsys.readouterr().err)
