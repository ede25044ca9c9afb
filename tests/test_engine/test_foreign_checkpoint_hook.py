import logging
from types import SimpleNamespace

import torch
from mmpretrain.registry import HOOKS

from ..test_models.golden import GoldenCase


def load(model, checkpoint, caplog):
    hook = HOOKS.build(dict(type='ForeignCheckpointHook'))
    runner = SimpleNamespace(model=model, logger=logging.getLogger('runner'))
    with caplog.at_level(logging.INFO, 'runner'):
        hook.after_load_checkpoint(runner, checkpoint)
    return checkpoint.get('state_dict')


def test_official_intr_gives_its_logits(caplog):
    case = GoldenCase('tiny')
    model = case.model()
    model.load_state_dict(load(model, case.official_checkpoint(), caplog))
    data = model.data_preprocessor(dict(inputs=case.images()))
    with torch.no_grad():
        torch.testing.assert_close(
            model(**data), case.outputs['logits'], rtol=0, atol=1e-4)
    assert 'official INTR checkpoint: took' in caplog.text
    assert 'left as initialised none' in caplog.text


def test_detr_fills_all_but_the_presence_vector(caplog):
    case = GoldenCase('tiny')
    model = case.model()
    weights = case.official_checkpoint()['model']
    del weights['presence_vector.weight'], weights['presence_vector.bias']
    weights['query_embed.weight'] = torch.randn(100, 32)
    weights['class_embed.weight'] = torch.zeros(92, 32)
    weights['bbox_embed.layers.0.weight'] = torch.zeros(32, 32)
    queries = weights['query_embed.weight'][:7]
    result = model.load_state_dict(
        load(model, dict(model=weights), caplog), strict=False)
    assert result.unexpected_keys == []
    assert result.missing_keys == [
        'head.presence_vector.weight', 'head.presence_vector.bias'
    ]
    assert torch.equal(model.head.query_embed.weight, queries)
    assert "dropped ['class_embed.weight', 'bbox_embed" in caplog.text
    assert "left as initialised ['head.presence_vector" in caplog.text


def test_our_checkpoints_pass_untouched(caplog):
    model = GoldenCase('tiny').model()
    checkpoint = dict(state_dict=model.state_dict(), meta={})
    before = dict(checkpoint)
    load(model, checkpoint, caplog)
    assert checkpoint == before and not caplog.text
