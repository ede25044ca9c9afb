import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmpretrain import get_model
from mmpretrain.registry import HOOKS, MODELS
from safetensors.torch import save_file

from ..test_models.golden import GoldenCase


def load(model, checkpoint, caplog):
    hook = HOOKS.build(dict(type='ForeignCheckpointHook'))
    runner = SimpleNamespace(
        model=model, logger=logging.getLogger('runner'), _load_from='x.pth')
    with caplog.at_level(logging.INFO, 'runner'):
        hook.after_load_checkpoint(runner, checkpoint)
    return checkpoint.get('state_dict')


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


def test_official_intr_gives_its_logits(caplog):
    case = GoldenCase('tiny')
    model = case.model()
    model.load_state_dict(load(model, case.official_checkpoint(), caplog))
    assert_golden(case, model)
    assert "load_from 'x.pth', official INTR checkpoint: took" in caplog.text
    assert 'initialised none' in caplog.text


def test_detr_fills_all_but_the_presence_vector(caplog):
    model = GoldenCase('tiny').model()
    weights = detr()
    result = model.load_state_dict(
        load(model, dict(model=weights), caplog), strict=False)
    assert result.unexpected_keys == []
    assert result.missing_keys == [
        'head.presence_vector.weight', 'head.presence_vector.bias'
    ]
    assert torch.equal(model.head.query_embed.weight,
                       weights['query_embed.weight'][:7])
    assert 'dropped class_embed.weight, bbox_embed.layers.0' in caplog.text
    assert 'initialised head.presence_vector.weight, head' in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.INFO}


def test_detr_starts_the_transformer_behind_another_backbone(caplog):
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
    state_dict = load(model, dict(model=weights), caplog)
    result = model.load_state_dict(state_dict, strict=False)
    assert result.unexpected_keys == []
    assert {name.split('.')[0]
            for name in result.missing_keys} == {'backbone', 'neck', 'head'}
    assert {n
            for n in result.missing_keys if n[0] != 'b'} == {
                'neck.input_proj.weight', 'head.presence_vector.weight',
                'head.presence_vector.bias'
            }
    assert torch.equal(model.head.query_embed.weight[:100],
                       weights['query_embed.weight'])
    record, = caplog.records
    assert record.levelno == logging.WARNING
    dropped, initialised = record.getMessage().split('initialised')
    assert 'backbone.conv1.weight' in dropped
    assert 'backbone.downsample_layers.0.0.weight' in initialised


def test_relatives_of_detr_are_refused(caplog):
    weights = dict(detr(),
                   **{'transformer.decoder.query_scale.bias': torch.zeros(1)})
    with pytest.raises(ValueError, match="x.pth' cannot be taken: .*_scale"):
        load(GoldenCase('tiny').model(), dict(model=weights), caplog)


def test_our_checkpoints_pass_untouched(caplog):
    model = GoldenCase('tiny').model()
    checkpoint = dict(state_dict=model.state_dict(), meta={})
    before = dict(checkpoint)
    load(model, checkpoint, caplog)
    assert checkpoint == before and not caplog.text


def test_models_without_class_queries_pass(caplog):
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='ResNet', depth=18),
            head=dict(type='ClsHead')))
    checkpoint = dict(model=detr())
    load(model, checkpoint, caplog)
    assert set(checkpoint) == {'model'} and not caplog.text


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
