import pytest
from mmengine.config import Config

from intr_mm.engine import check_data_folders


def config(data_root, **kwargs):
    dataset = dict(
        type='CustomDataset', data_root=str(data_root), data_prefix='train')
    return Config(dict(train_dataloader=dict(dataset=dict(dataset, **kwargs))))


def test_missing_folder(tmp_path):
    message = (rf"Data folder '{tmp_path}/train' of train_dataloader does not "
               'exist: .*train_dataloader.dataset.data_root=')
    with pytest.raises(FileNotFoundError, match=message):
        check_data_folders(config(tmp_path), 'train_dataloader')


def test_empty_folder_inside_wrappers(tmp_path):
    (tmp_path / 'train').mkdir()
    inner = config(tmp_path).train_dataloader.dataset
    cfg = config(
        '',
        type='ConcatDataset',
        datasets=[dict(type='RepeatDataset', times=2, dataset=inner)])
    with pytest.raises(FileNotFoundError, match="train' .* is empty"):
        check_data_folders(cfg, 'train_dataloader')
    (tmp_path / 'train' / 'class_a').mkdir()
    check_data_folders(cfg, 'train_dataloader')


def test_cub_in_its_own_format():
    cfg = config('no/such', type='mmpretrain.CUB')
    cfg.train_dataloader.dataset.pop('data_prefix')
    with pytest.raises(FileNotFoundError, match="no/such' of"):
        check_data_folders(cfg, 'train_dataloader')


@pytest.mark.parametrize('dataset', [
    dict(type='CIFAR10', data_root='no/such', data_prefix='no/such'),
    dict(type='CustomDataset', data_root='s3://bucket/birds'),
])
def test_what_need_not_be_on_the_disk(dataset):
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    check_data_folders(cfg, 'train_dataloader', 'val_dataloader')
