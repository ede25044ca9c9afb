import logging

import pytest
import torch
from mmengine.logging import MMLogger

from intr_mm.checkpoints import carry_classes
from ..tiny import build_runner, save_model, tiny_model

QUERIES = 'head.query_embed.weight'
# those of `images`
CLASSES = ('class_0', 'class_1', 'class_2')


@pytest.mark.parametrize('queries_per_class', [1, 2])
@pytest.mark.parametrize('before, rows, words', [
    (('class_2', 'other', 'class_0'), (2, None, 0),
     'carries over 2 of 3 classes by name; initialises 1: class_1; drops 1: '
     'other.'),
    (('class_1', ), (None, 0, None),
     'carries over 1 of 1 classes by name; initialises 2: class_0, class_2.'),
    (('a', 'class_2', 'class_1', 'class_0', 'b'),
     (3, 2, 1), 'carries over 3 of 5 classes by name; drops 2: a, b.'),
    (CLASSES, (0, 1, 2), None),
])
def test_classes_are_carried_over_by_name(images, tmp_path, caplog, before,
                                          rows, words, queries_per_class):
    options = dict(head__queries_per_class=queries_per_class)
    old = tiny_model(head__num_classes=len(before), seed=7, **options)
    path = save_model(old, tmp_path / 'old.pth', before)
    fresh = tiny_model(seed=0, **options).state_dict()[QUERIES]
    runner = build_runner(
        images,
        tmp_path / 'work',
        load_from=path,
        train_cfg__max_epochs=1,
        optim_wrapper__optimizer__lr=0.,
        model__head__queries_per_class=queries_per_class)
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    runner.model.head.query_embed.weight.data.copy_(fresh)
    runner.model._is_init = True
    runner.train()
    k, known = queries_per_class, old.state_dict()[QUERIES]
    expected = torch.cat([
        fresh[i * k:(i + 1) * k] if row is None else known[row * k:(row + 1) *
                                                           k]
        for i, row in enumerate(rows)
    ])
    assert torch.equal(runner.model.head.query_embed.weight, expected)
    assert torch.equal(runner.model.neck.state_dict()['input_proj.weight'],
                       old.neck.state_dict()['input_proj.weight'])
    told = [m for m in caplog.messages if m.startswith('The head')]
    assert told == ([] if words is None else [f'The head {words}'])


def test_names_that_occur_twice_are_not_known(images, tmp_path):
    model = tiny_model()
    given = tiny_model(seed=7).state_dict()
    checkpoint = dict(
        state_dict=given, meta=dict(dataset_meta=dict(classes=list('aba'))))
    carry_classes(model, checkpoint, ('b', 'a', 'a'))
    found = checkpoint['state_dict'][QUERIES]
    assert torch.equal(found[0], given[QUERIES][1])
    assert torch.equal(found[1:], model.state_dict()[QUERIES][1:])


def test_a_teacher_keeps_its_classes():
    model = tiny_model(
        head=dict(
            type='EvidenceReader',
            num_classes=3,
            embed_dims=16,
            num_heads=2,
            distill=True,
            auxiliary=dict(
                type='INTRHead',
                num_classes=3,
                embed_dims=16,
                num_heads=2,
                num_layers=1,
                feedforward_channels=16),
            _delete_=True))
    checkpoint = dict(
        state_dict=model.state_dict(),
        meta=dict(dataset_meta=dict(classes=list('abc'))))
    with pytest.raises(ValueError, match="'b' is number 0 in train_data"):
        carry_classes(model, checkpoint, list('bcd'))
    carry_classes(model, checkpoint, list('abd'))  # renamed
    assert checkpoint['state_dict'].keys() == model.state_dict().keys()


def test_heads_without_queries_are_warned_of(caplog):
    model = tiny_model(
        type='ImageClassifier',
        neck=dict(type='GlobalAveragePooling', _delete_=True),
        head=dict(
            type='LinearClsHead', num_classes=3, in_channels=32,
            _delete_=True))
    checkpoint = dict(
        state_dict=model.state_dict(),
        meta=dict(dataset_meta=dict(classes=list('abc'))))
    MMLogger.get_current_instance().addHandler(caplog.handler)
    carry_classes(model, checkpoint, list('bca'))
    assert 'the head holds no queries of classes' in caplog.text


def test_other_task_is_warned_of(images, tmp_path, caplog):
    old = tiny_model(seed=7)
    path = save_model(old, tmp_path / 'old.pth', ('a', 'b', 'c'))
    runner = build_runner(
        images, tmp_path / 'work', load_from=path, train_cfg__max_epochs=1)
    MMLogger.get_current_instance().addHandler(caplog.handler)
    runner.train()
    record, = (r for r in caplog.records if 'carries over 0' in r.message)
    assert record.levelno == logging.WARNING
