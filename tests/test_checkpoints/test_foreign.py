"""Checkpoints of DETR and of the official INTR code are loaded as they are."""
import logging

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.runner import load_checkpoint
from mmpretrain import get_model
from mmpretrain.registry import MODELS
from safetensors.torch import save_file

from ..golden import GoldenCase
from ..tiny import build_runner

PRESENCE = ['head.presence_vector.weight', 'head.presence_vector.bias']


@pytest.fixture
def logged(monkeypatch):
    """Levels and messages of what was logged of foreign weights."""
    entries = []
    monkeypatch.setattr(
        'intr_mm.checkpoints.conversion.print_log',
        lambda message, logger, level: entries.append((level, message)))
    return entries


def detr():
    """The weights of the golden case as a DETR of 100 queries."""
    weights = GoldenCase('tiny').official_checkpoint()['model']
    del weights['presence_vector.weight'], weights['presence_vector.bias']
    weights['query_embed.weight'] = torch.randn(100, 32)
    weights['class_embed.weight'] = torch.zeros(92, 32)
    weights['bbox_embed.layers.0.weight'] = torch.zeros(32, 32)
    return weights


def assert_golden(case, model):
    data = model.data_preprocessor(dict(inputs=case.images()))
    with torch.no_grad():
        torch.testing.assert_close(
            model(**data), case.outputs['logits'], rtol=0, atol=1e-4)


def load_by_runner(checkpoint, images, tmp_path, **options):
    """Let a runner of the golden case start from a checkpoint."""
    path = tmp_path / 'x.pth'
    torch.save(checkpoint, path)
    options.setdefault('model',
                       dict(GoldenCase('tiny').model_cfg(), _delete_=True))
    runner = build_runner(
        images, tmp_path / 'work', load_from=str(path), **options)
    # as `runner.train` does
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.call_hook('before_run')
    runner.load_or_resume()
    return runner


def test_runner_takes_an_official_intr(images, tmp_path, logged):
    case = GoldenCase('tiny')
    runner = load_by_runner(case.official_checkpoint(), images, tmp_path)
    assert_golden(case, runner.model.eval())
    (level, message), = logged
    assert level == logging.INFO
    assert message.startswith('official INTR checkpoint: took')
    assert 'dropped none' in message and 'initialised none' in message


@pytest.mark.parametrize('key', ['model', 'state_dict', None])
def test_runner_starts_from_a_detr(key, images, tmp_path, logged):
    """All but the presence vector is taken, by an EMA of the model too."""
    weights = detr()
    runner = load_by_runner(
        weights if key is None else {key: weights},
        images,
        tmp_path,
        custom_hooks=[dict(type='EMAHook')])
    ema, = (hook for hook in runner.hooks if isinstance(hook, EMAHook))
    for model in (runner.model, ema.ema_model.module):
        assert torch.equal(model.head.query_embed.weight,
                           weights['query_embed.weight'][:7])
        assert torch.equal(model.neck.input_proj.weight,
                           weights['input_proj.weight'])
    assert {level for level, _ in logged} == {logging.INFO}
    for _, message in logged:
        assert 'dropped class_embed.weight, bbox_embed.layers.0' in message
        assert f'initialised {", ".join(PRESENCE)}.' in message


def test_runner_starts_a_stock_classifier(images, tmp_path, logged):
    """The head alone takes what is DETR's decoder."""
    cfg = GoldenCase('tiny').model_cfg()
    model = dict(
        type='ImageClassifier',
        backbone=cfg['backbone'],
        head=dict(cfg['head'], in_channels=cfg['neck']['in_channels']),
        _delete_=True)
    weights = detr()
    runner = load_by_runner(weights, images, tmp_path, model=model)
    assert torch.equal(runner.model.head.query_embed.weight,
                       weights['query_embed.weight'][:7])
    (level, message), = logged
    assert level == logging.WARNING
    assert 'initialised head.input_proj.weight' in message


def test_detr_fills_all_but_the_presence_vector():
    model = GoldenCase('tiny').model()
    result = model.load_state_dict(detr(), strict=False)
    assert result.unexpected_keys == []
    assert result.missing_keys == PRESENCE


def test_detr_starts_the_transformer_behind_another_backbone(logged):
    """What does not fit is named, in a warning."""
    cfg = dict(embed_dims=32, num_heads=4, feedforward_channels=64)
    case = GoldenCase('tiny')
    model = MODELS.build(
        dict(
            type='INTRClassifier',
            backbone=dict(type='ConvNeXt', arch='atto', out_indices=3),
            neck=dict(
                type='INTREncoder',
                in_channels=320,
                num_layers=case.config['enc'],
                **cfg),
            head=dict(
                type='INTRHead',
                num_classes=120,
                num_layers=case.config['dec'],
                **cfg)))
    weights = detr()
    result = model.load_state_dict(dict(model=weights), strict=False)
    assert result.unexpected_keys == []
    missing = set(result.missing_keys)
    assert {name
            for name in missing if not name.startswith('backbone')
            } == {'neck.input_proj.weight', *PRESENCE}
    assert {
        name
        for name in model.state_dict() if name.startswith('backbone')
    } <= missing
    assert torch.equal(model.head.query_embed.weight[:100],
                       weights['query_embed.weight'])
    (level, message), = logged
    assert level == logging.WARNING
    dropped, initialised = message.split('initialised')
    assert 'backbone.conv1.weight' in dropped
    assert 'backbone.downsample_layers.0.0.weight' in initialised


def test_relatives_of_detr_are_refused(images, tmp_path):
    weights = dict(detr(),
                   **{'transformer.decoder.query_scale.bias': torch.zeros(1)})
    with pytest.raises(ValueError, match=r'x\.pth.*query_scale') as error:
        load_by_runner(dict(model=weights), images, tmp_path)
    assert '\n' not in str(error.value)


def test_foreign_weights_cannot_be_resumed(images, tmp_path):
    """Not even where the file has all that a runner saves."""
    checkpoint = dict(
        state_dict=detr(), meta=dict(epoch=1, iter=1), optimizer=dict())
    with pytest.raises(ValueError, match='no training state'):
        load_by_runner(checkpoint, images, tmp_path, resume=True)


def test_our_checkpoints_pass_untouched(images, tmp_path, logged):
    weights = GoldenCase('tiny').model().state_dict()
    runner = load_by_runner(dict(state_dict=weights), images, tmp_path)
    for name, tensor in runner.model.state_dict().items():
        assert torch.equal(tensor, weights[name])
    assert logged == []


def test_models_without_class_queries_take_none(images, tmp_path, logged):
    model = dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18),
        head=dict(type='ClsHead'),
        _delete_=True)
    with pytest.raises(ValueError, match='shares no weight'):
        load_by_runner(
            dict(model=detr()),
            images,
            tmp_path,
            model=model,
            default_hooks__visualization__enable=False)
    assert logged == []


@pytest.mark.parametrize('ending', ['pth', 'safetensors'])
def test_official_checkpoint_is_pretrained(ending, tmp_path):
    """``get_model`` and ``load_checkpoint`` take it as it is."""
    case = GoldenCase('tiny')
    path = str(tmp_path / f'official.{ending}')
    if ending == 'pth':
        torch.save(case.official_checkpoint(), path)
    else:
        save_file(case.official_checkpoint()['model'], path)
    assert_golden(
        case,
        get_model(Config(dict(model=case.model_cfg())),
                  pretrained=path).eval())
    model = case.model()
    load_checkpoint(model, path, strict=True)
    assert_golden(case, model)


def test_torch_loads_official_weights_strictly():
    case = GoldenCase('tiny')
    model = case.model()
    model.load_state_dict(case.official_checkpoint()['model'], strict=True)
    assert_golden(case, model)
