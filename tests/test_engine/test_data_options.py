import pytest
from mmengine.config import Config

from intr_mm.engine import fill_num_classes, move_data_root
from ..tiny import CONFIG


def dataset(root, **kwargs):
    return dict(type='CustomDataset', data_root=root, **kwargs)


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
    with pytest.raises(ValueError, match="data_root='new' reaches no dataset"):
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
    with pytest.raises(ValueError, match='set `--cfg-options model.head.num'):
        fill_num_classes(cfg, 'train_dataloader')
