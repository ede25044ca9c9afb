"""Settings that no weight tells are read from the config in a checkpoint."""
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from intr_mm.checkpoints import fit_checkpoint
from intr_mm.models import INTREncoder
from ..tiny import tiny_cfg, tiny_model

READER = dict(
    _delete_=True, num_classes=3, embed_dims=16, num_heads=2, type='')
EVIDENCE = dict(READER, type='EvidenceHead', values='paired')


@pytest.fixture
def warned(monkeypatch):
    """What is told."""
    texts = []
    monkeypatch.setattr('intr_mm.checkpoints.checks.print_log',
                        lambda text, *_: texts.append(text))
    return texts


def trained(text=None, **changes):
    """A checkpoint of a model, which carries its config as MMEngine writes
    it."""
    if text is None:
        text = Config(dict(model=tiny_cfg(**changes))).pretty_text
    return dict(
        state_dict=tiny_model(**changes).state_dict(), meta=dict(cfg=text))


@pytest.mark.parametrize('before, now, message', [
    (dict(neck__window_radius=1), {},
     r'window_radius=1 but model\.neck\.window_radius is None.*radius=1`'),
    ({}, dict(neck__window_radius=2),
     r'window_radius=None but model\.neck\.window_radius is 2.*radius=None`'),
    ({}, dict(head__num_heads=4),
     r'num_heads=2 but model\.head\.num_heads is 4'),
    (dict(head=EVIDENCE), dict(head=dict(EVIDENCE, values='constant')),
     r"values='paired' but model\.head\.values is 'constant'"),
    (dict(head=EVIDENCE), dict(head=dict(EVIDENCE, gain=2.)),
     r'gain=1\.0 but model\.head\.gain is 2\.0'),
    (dict(head=dict(EVIDENCE, gain=3)), dict(head=EVIDENCE),
     r'gain=3 but model\.head\.gain is 1\.0'),
])
def test_what_would_give_other_scores(before, now, message):
    with pytest.raises(ValueError, match=f"Checkpoint 'x.pth' .* {message}"):
        fit_checkpoint(tiny_model(**now), trained(**before), 'x.pth')


def test_training_may_go_on_with_others():
    model = tiny_model(neck__window_radius=1, head__num_heads=4)
    fit_checkpoint(model, trained(), 'x.pth', whole=False)


def test_a_teacher_has_to_be_what_it_was():

    def reader(**teacher):
        return dict(
            READER,
            type='EvidenceReader',
            distill=True,
            auxiliary=dict(tiny_cfg().head, **teacher))

    checkpoint = trained()
    fit_checkpoint(tiny_model(head=reader()), checkpoint, 'x.pth', whole=False)
    with pytest.raises(
            ValueError, match='=2 but model.head.auxiliary.num_heads'):
        fit_checkpoint(
            tiny_model(head=reader(num_heads=4)),
            checkpoint,
            'x.pth',
            whole=False)
    with pytest.raises(ValueError, match='window_radius=None but'):
        fit_checkpoint(
            tiny_model(head=reader(), neck__window_radius=1),
            checkpoint,
            'x.pth',
            whole=False)


@pytest.mark.parametrize('before, now', [
    ({}, dict(neck__window_radius=None, neck__dropout=.5)),
    (dict(neck__window_radius=None), {}),
    (dict(head=EVIDENCE), dict(head=dict(EVIDENCE, gain=1, mass_weight=1.))),
    ({},
     dict(
         head__type='MultiLabelINTRHead',
         head__loss=dict(type='AsymmetricLoss'))),
    (dict(head__type='MultiLabelINTRHead'), {}),
    ({}, dict(backbone__strides=[1, 2, 2], backbone__with_cp=True)),
    ({}, dict(pad_after_backbone=True)),
    ({}, dict(data_preprocessor__mean=[127.50001, 127.5, 127.5])),
])
def test_what_computes_the_same(before, now, warned):
    fit_checkpoint(tiny_model(**now), trained(**before), 'x.pth')
    assert not warned


@pytest.mark.parametrize('text', [
    '', 'model = [', 'model = None', 'model = dict(neck=3, head=build())',
    'model = dict(neck=dict(num_heads=n, window_radius=[f()]))'
])
def test_configs_that_tell_nothing(text, warned):
    fit_checkpoint(tiny_model(), trained(text), 'x.pth')
    assert not warned


def test_a_class_that_fixes_what_it_hands_on(warned):

    @MODELS.register_module()
    class TwoHeads(INTREncoder):

        def __init__(self, **kwargs):
            super().__init__(num_heads=2, **kwargs)

    neck = dict(tiny_cfg().neck, type='TwoHeads', _delete_=True)
    neck.pop('num_heads')
    fit_checkpoint(tiny_model(neck=neck), trained(neck=neck), 'x.pth')
    assert not warned


def test_a_config_of_odd_values(warned):
    text = 'model = dict(backbone=dict(strides=[1, [2], None]))'
    fit_checkpoint(tiny_model(), trained(text), 'x.pth')
    assert 'strides=[1, [2], None] of the backbone' in warned[0]


@pytest.mark.parametrize('now, words', [
    (dict(backbone__strides=(1, 2, 1)), r'strides=(1, 2, 2) of the backbone'),
    (dict(backbone__style='caffe'), "style='pytorch' of the backbone"),
    (dict(data_preprocessor__to_rgb=False), 'to_rgb=True of the data_prepro'),
    (dict(data_preprocessor__mean=[0, 0, 0]), 'mean=[127.5, 127.5, 127.5]'),
    (dict(data_preprocessor__mean=None), 'but the model has None'),
])
def test_what_may_be_meant_is_told(now, words, warned):
    fit_checkpoint(tiny_model(**now), trained(), 'x.pth')
    assert len(warned) == 1 and words in warned[0]


def test_a_preprocessor_beside_the_model(warned):
    cfg = Config(dict(model=tiny_cfg()))
    cfg.data_preprocessor = cfg.model.pop('data_preprocessor')
    checkpoint = trained(cfg.pretty_text)
    fit_checkpoint(tiny_model(), checkpoint, 'x.pth')
    assert not warned
    model = tiny_model(data_preprocessor__std=[1, 2, 3])
    fit_checkpoint(model, checkpoint, 'x.pth')
    assert 'std=[64, 64, 64]' in warned[0]
    assert torch.equal(model.data_preprocessor.std.flatten(),
                       torch.tensor([1, 2, 3]))
