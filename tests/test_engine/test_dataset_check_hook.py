import pytest

from ..tiny import build_runner


@pytest.mark.parametrize('mode', ['train', 'test'])
def test_class_count(images, tmp_path, mode):
    runner = build_runner(images, tmp_path, model__head__num_classes=4)
    message = (f'The dataset of {mode}_dataloader has 3 classes but '
               'model.head.num_classes is 4: ')
    with pytest.raises(ValueError, match=message):
        getattr(runner, mode)()


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
    with pytest.raises(ValueError, match='val_dataloader has 2 classes'):
        runner.train()


def test_other_classes_in_the_validation_set(images, tmp_path):
    (tmp_path / 'val').mkdir()
    for label, name in enumerate(('class_0', 'class_1', 'gull')):
        (tmp_path / 'val' / name).symlink_to(images / 'val' / f'class_{label}')
    runner = build_runner(
        images,
        tmp_path / 'work',
        val_dataloader__dataset__data_root=str(tmp_path))
    message = "Class 'class_2' of train_dataloader is 'gull' in val_dataloader"
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
    message = f"Label {label} of '.*class_1/3.jpg' in train_dataloader"
    with pytest.raises(ValueError, match=message):
        runner.train()
