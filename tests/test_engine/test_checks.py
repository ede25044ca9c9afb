import shutil

import pytest
import torch
from mmengine.hooks import Hook

from ..tiny import build_runner


@pytest.mark.parametrize('mode', ['train', 'test'])
def test_class_count(images, tmp_path, mode):
    runner = build_runner(images, tmp_path, model__head__num_classes=4)
    message = f'{mode}_dataloader.* 3 classes .*num_classes is 4'
    with pytest.raises(ValueError, match=message):
        getattr(runner, mode)()


def test_names_in_an_exported_file(images, tmp_path):
    runner = build_runner(images, tmp_path)
    names = ['class_1', 'class_0', 'class_2']
    runner.model._dataset_meta = dict(classes=names)
    with pytest.raises(ValueError, match="Class 'class_0' is number 0 in"):
        runner.test()


def test_class_count_of_the_validation_set(images, tmp_path):
    """A validation folder without one of the classes shifts the labels."""
    for label in (0, 2):
        (tmp_path / 'val').mkdir(exist_ok=True)
        (tmp_path / 'val' / f'class_{label}').symlink_to(images / 'val' /
                                                         f'class_{label}')
    runner = build_runner(
        images,
        tmp_path / 'work',
        val_dataloader__dataset__data_root=str(tmp_path))
    message = (r"Class 'class_1' of train_dataloader \(3 classes\) is not in "
               r'val_dataloader \(2 classes\): give both')
    with pytest.raises(ValueError, match=message):
        runner.train()


def test_other_classes_in_the_validation_set(images, tmp_path):
    (tmp_path / 'val').mkdir()
    for label, name in enumerate(('class_0', 'class_1', 'gull')):
        (tmp_path / 'val' / name).symlink_to(images / 'val' / f'class_{label}')
    runner = build_runner(
        images,
        tmp_path / 'work',
        val_dataloader__dataset__data_root=str(tmp_path))
    message = "'class_2'.* train_dataloader .*val_dataloader .*'gull'"
    with pytest.raises(ValueError, match=message):
        runner.train()


@pytest.mark.parametrize('label', [-1, 3])
def test_label_out_of_range(images, tmp_path, label):
    annotations = tmp_path / 'train.txt'
    annotations.write_text(f'class_0/0.jpg 0\nclass_1/3.jpg {label}\n')
    runner = build_runner(
        images,
        tmp_path / 'work',
        train_dataloader__dataset__ann_file=str(annotations))
    message = rf'{label} .*class_1/3\.jpg.* train_dataloader'
    with pytest.raises(ValueError, match=message):
        runner.train()


def test_a_training_set_of_one_class(images, tmp_path):
    annotations = tmp_path / 'train.txt'
    annotations.write_text('class_0/0.jpg 1\nclass_0/1.jpg 1\n')
    runner = build_runner(
        images,
        tmp_path / 'work',
        train_dataloader__dataset__ann_file=str(annotations))
    with pytest.raises(ValueError, match='one class only, 1'):
        runner.train()


def test_fewer_images_than_a_batch(images, tmp_path):
    runner = build_runner(
        images,
        tmp_path,
        train_dataloader__batch_size=64,
        train_dataloader__drop_last=True,
        param_scheduler=None)
    with pytest.raises(ValueError, match='18 images.* batch of 64 .*drop_la'):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize('split', ['train', 'val'])
def test_no_image_of_a_set_can_be_read(images, tmp_path, split):
    shutil.copytree(images, tmp_path / 'data')
    for path in (tmp_path / 'data' / split).glob('*/*.jpg'):
        path.write_bytes(b'x')
    runner = build_runner(tmp_path / 'data', tmp_path / 'work')
    message = rf"None of the \d+ images of {split}_dataloader .*class_0/0.jpg'"
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert not list((tmp_path / 'work').glob('*.pth'))


class Spoiler(Hook):
    """Set a weight to NaN in the last iteration of the second epoch."""

    def __init__(self, stage):
        setattr(self, stage, self.spoil)

    def spoil(self, runner, **kwargs):
        if runner.iter == 9:
            runner.model.head.presence_vector.weight.data.fill_(float('nan'))


def train_spoilt(images, work_dir, stage):
    runner = build_runner(images, work_dir)
    runner.register_hook(Spoiler(stage), priority='VERY_HIGH')
    with pytest.raises(FloatingPointError) as error:
        runner.train()
    assert not (work_dir / 'epoch_2.pth').exists()
    last = str(work_dir / 'epoch_1.pth')
    assert (work_dir / 'last_checkpoint').read_text() == last
    for weight in torch.load(last, weights_only=False)['state_dict'].values():
        assert torch.isfinite(weight).all()
    message = str(error.value)
    assert last in message and '--resume' in message
    return message


def test_loss_that_is_not_finite(images, tmp_path):
    message = train_spoilt(images, tmp_path, 'before_train_iter')
    for part in ('Loss is nan', 'iteration 10 ', 'epoch 2', f'{images}/train'):
        assert part in message
    # the last batch of 18 images by fours
    assert message.count('.jpg') == 2


def test_weights_spoilt_behind_a_finite_loss(images, tmp_path):
    message = train_spoilt(images, tmp_path, 'after_train_iter')
    assert message.startswith('Weight')
    assert "'head.presence_vector.weight'" in message
