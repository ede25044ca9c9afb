"""What the data and other settings say of a config."""
import pytest
from mmengine.config import Config

from intr_mm.command_line import (add_checkpoint_check, cut_schedule, cut_topk,
                                  fill_num_classes)
from intr_mm.command_line.config_reading import move_data_root
from ..tiny import CONFIG, ROOT

SCHEDULED = [
    ROOT / 'configs' / f'intr_{name}.py'
    for name in ('swin-tiny_cub', 'cub50_frozen_224px', 'demo')
]


def dataset(root, **kwargs):
    return dict(type='CustomDataset', data_root=root, **kwargs)


@pytest.mark.parametrize('hooks, added', [
    (dict(), True),
    (dict(default_hooks=dict(timer=dict(type='IterTimerHook'))), True),
    (dict(custom_hooks=[dict(type='CheckpointCheckHook')]), False),
    (dict(default_hooks=dict(check=dict(type='CheckpointCheckHook'))), False),
    (dict(default_hooks=dict(checkpoint_check=None)), False),
])
def test_configs_of_others_get_the_check_of_checkpoints(hooks, added):
    cfg = Config(hooks)
    add_checkpoint_check(cfg)
    hook = cfg.get('default_hooks', {}).get('checkpoint_check')
    assert (hook is not None) == added


def test_data_root_reaches_wrapped_datasets_that_had_the_old_one():
    cfg = Config(
        dict(
            data_root='old',
            train_dataloader=dict(
                dataset=dict(
                    type='ConcatDataset',
                    datasets=[
                        dict(
                            type='RepeatDataset',
                            times=2,
                            dataset=dataset('old')),
                        dataset('elsewhere')
                    ])),
            val_dataloader=None,
            test_dataloader=dict(dataset=dataset('old'))))
    move_data_root(cfg, 'new')
    repeated, other = cfg.train_dataloader.dataset.datasets
    assert repeated.dataset.data_root == 'new'
    assert other.data_root == 'elsewhere'
    assert cfg.test_dataloader.dataset.data_root == cfg.data_root == 'new'


@pytest.mark.parametrize('old', [dict(), dict(data_root='old')])
def test_data_root_that_reaches_nothing_is_refused(old):
    cfg = Config(dict(old, train_dataloader=dict(dataset=dataset('other'))))
    move_data_root(cfg, None)
    with pytest.raises(ValueError, match="data_root='new'"):
        move_data_root(cfg, 'new')


def tiny(images, **head):
    cfg = Config.fromfile(CONFIG)
    cfg.train_dataloader.dataset.data_root = str(images)
    cfg.model.head.update(head)
    return cfg


def test_classes_of_the_data_fill_in_the_head(images):
    cfg = tiny(images, num_classes=None)
    cfg.model.data_preprocessor.num_classes = 1000
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=2, dataset=cfg.train_dataloader.dataset)
    fill_num_classes(cfg, 'train_dataloader')
    assert cfg.model.head.num_classes == 3
    assert cfg.model.data_preprocessor.num_classes == 3


def test_classes_behind_test_time_augmentation(images):
    cfg = tiny(images, num_classes=None)
    cfg.model = dict(type='AverageClsScoreTTA', module=cfg.model)
    fill_num_classes(cfg, 'train_dataloader')
    assert cfg.model.module.head.num_classes == 3


def test_a_number_in_the_config_stays(images):
    cfg = tiny(images, num_classes=7)
    fill_num_classes(cfg, 'train_dataloader')
    assert cfg.model.head.num_classes == 7


def test_data_without_class_names_are_refused(images):
    cfg = tiny(images, num_classes=None)
    cfg.train_dataloader.dataset.with_label = False
    with pytest.raises(
            ValueError, match=r'--cfg-options model\.head\.num_classes'):
        fill_num_classes(cfg, 'train_dataloader')


def accuracies(number, *topks):
    return Config(
        dict(
            model=dict(head=dict(num_classes=number)),
            val_evaluator=dict(type='Accuracy', topk=topks[0]),
            test_evaluator=[
                dict(type='Accuracy', topk=topk) for topk in topks
            ]))


def test_accuracies_over_more_classes_than_there_are():
    cfg = accuracies(3, (1, 5), (1, 2), (5, ))
    cut_topk(cfg)
    assert cfg.val_evaluator.topk == (1, )
    assert [m.topk for m in cfg.test_evaluator] == [(1, ), (1, 2), (1, )]
    cut_topk(accuracies(5, (1, 5)), {'val_evaluator.topk': (1, 5)})
    with pytest.raises(ValueError, match='at most 3'):
        cut_topk(accuracies(3, (1, 5)), {'val_evaluator.topk': (1, 5)})


@pytest.mark.parametrize('path', SCHEDULED, ids=lambda path: path.stem)
def test_one_epoch_in_every_config(path):
    cfg = Config.fromfile(path)
    cfg.train_cfg.max_epochs = 1
    cut_schedule(cfg)
    for scheduler in cfg.param_scheduler:
        assert not scheduler.get('by_epoch', True) or (scheduler.get(
            'begin', 0) < 1)
    assert cfg.param_scheduler
