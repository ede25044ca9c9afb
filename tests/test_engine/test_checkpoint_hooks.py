import shutil

import pytest
import torch
from mmengine.fileio import LocalBackend
from mmengine.logging import MMLogger

from intr_mm.checkpoints import AtomicLocalBackend
from ..tiny import build_runner


def files(work_dir):
    return sorted(path.name for path in work_dir.glob('*.pth'))


def test_checkpoints_are_written_by_the_atomic_backend(images, tmp_path,
                                                       monkeypatch):
    written = []
    put = AtomicLocalBackend.put
    monkeypatch.setattr(
        AtomicLocalBackend, 'put', lambda self, obj, path:
        (written.append(str(path)), put(self, obj, path)))
    monkeypatch.setattr(LocalBackend, 'put', None)
    build_runner(
        images,
        tmp_path,
        train_cfg__max_epochs=1,
        default_hooks__visualization__enable=False).train()
    assert written == [
        str(tmp_path / name) for name in ('epoch_1.pth', 'last_checkpoint')
    ]


def test_old_checkpoints_go_only_when_the_new_one_is_there(images, tmp_path):
    """Fail in the place of a kill, while epoch 3 is being saved."""
    options = dict(
        default_hooks__checkpoint__max_keep_ckpts=1,
        default_hooks__checkpoint__save_best='loss',
        default_hooks__checkpoint__rule='greater')
    runner = build_runner(images, tmp_path, **options)
    hook = next(hook for hook in runner.hooks if hasattr(hook, 'save_best'))
    save = runner.save_checkpoint
    epochs = []

    def after_val_epoch(runner, metrics):
        hook._save_best_checkpoint(runner, dict(loss=float(runner.epoch)))

    def save_checkpoint(out_dir, filename, *args, **kwargs):
        epochs.append(filename)
        last = (tmp_path / 'last_checkpoint')
        if last.exists():
            assert tmp_path / last.read_text() in tmp_path.iterdir()
        if filename == 'best_loss_epoch_3.pth':
            raise KeyboardInterrupt
        save(out_dir, filename, *args, **kwargs)

    hook.after_val_epoch = after_val_epoch
    runner.save_checkpoint = save_checkpoint
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    # each epoch is saved again when it is the best so far
    assert epochs == [
        'epoch_1.pth', 'best_loss_epoch_1.pth', 'epoch_1.pth', 'epoch_2.pth',
        'best_loss_epoch_2.pth', 'epoch_2.pth', 'epoch_3.pth',
        'best_loss_epoch_3.pth'
    ]
    assert files(tmp_path) == ['best_loss_epoch_2.pth', 'epoch_3.pth']

    runner = build_runner(images, tmp_path, resume=True, **options)
    runner.train()
    assert runner.epoch == 3


@pytest.fixture(scope='module')
def checkpoint(images, tmp_path_factory):
    """A checkpoint of a run of one epoch."""
    work_dir = tmp_path_factory.mktemp('trained')
    build_runner(images, work_dir, train_cfg__max_epochs=1).train()
    return str(work_dir / 'epoch_1.pth')


def fail(runner, mode, match):
    with pytest.raises(ValueError, match=match) as error:
        getattr(runner, mode)()
    assert '\n' not in str(error.value)


def test_class_count(images, tmp_path, checkpoint):
    runner = build_runner(
        images, tmp_path, load_from=checkpoint, model__head__num_classes=4)
    fail(runner, 'test', r'epoch_1\.pth.* 3 classes .*num_classes is 4')


def test_other_depth_and_shape(images, tmp_path, checkpoint):
    runner = build_runner(
        images, tmp_path, load_from=checkpoint, model__head__num_layers=2)
    fail(runner, 'test', r'epoch_1\.pth.*Missing key.*decoder\.layers\.1')
    path = str(tmp_path / 'weights.pth')
    state_dict = torch.load(checkpoint, weights_only=False)['state_dict']
    torch.save(dict(state_dict=state_dict), path)
    runner = build_runner(
        images, tmp_path, load_from=path, model__head__num_classes=4)
    fail(runner, 'test', r'weights\.pth.*size mismatch for head')


@pytest.mark.parametrize('part', ['neck', 'head'])
def test_other_number_of_attention_heads(images, tmp_path, checkpoint, part):
    """Which no weight tells."""
    runner = build_runner(
        images,
        tmp_path,
        load_from=checkpoint,
        **{f'model__{part}__num_heads': 4})
    fail(
        runner, 'test', r'epoch_1\.pth.* with num_heads=2 but model\.'
        rf'{part}\.num_heads is 4')


def test_file_of_another_kind(images, tmp_path):
    path = str(tmp_path / 'other.pth')
    torch.save(dict(state_dict={'stem.weight': torch.zeros(2)}), path)
    for mode in ('train', 'test'):
        fail(
            build_runner(images, tmp_path, load_from=path), mode,
            r'other\.pth.* no weight')


def test_resume_needs_a_training_state(images, tmp_path, checkpoint):
    path = str(tmp_path / 'weights.pth')
    state_dict = torch.load(checkpoint, weights_only=False)['state_dict']
    torch.save(dict(state_dict=state_dict), path)
    runner = build_runner(images, tmp_path, load_from=path, resume=True)
    fail(runner, 'train', r'weights\.pth.* no training state')


@pytest.mark.parametrize('mode', ['test', 'train'])
def test_classes_of_other_numbers(images, tmp_path, checkpoint, mode):
    """A folder that is renamed moves the classes behind it."""
    shutil.copytree(images, tmp_path / 'images')
    for split in ('train', 'val'):
        folder = tmp_path / 'images' / split
        (folder / 'class_0').rename(folder / 'zebra')
    runner = build_runner(
        tmp_path / 'images',
        tmp_path / 'work',
        load_from=checkpoint,
        resume=mode == 'train',
        train_cfg__max_epochs=2)
    fail(
        runner, mode, f"'class_1' is number 0 in {mode}_dataloader but "
        'number 1 in the checkpoint')


def test_a_class_that_is_renamed_in_its_place(images, tmp_path, checkpoint,
                                              caplog):
    shutil.copytree(images, tmp_path / 'images')
    folder = tmp_path / 'images/val'
    (folder / 'class_0').rename(folder / 'aardvark')
    runner = build_runner(
        tmp_path / 'images', tmp_path / 'work', load_from=checkpoint)
    MMLogger.get_current_instance().addHandler(caplog.handler)
    runner.test()
    assert "class 0 is 'aardvark' there and 'class_0' here" in caplog.text


def test_fine_tuning_to_other_classes_is_allowed(images, tmp_path, checkpoint):
    """What fits is loaded, the queries of the classes start anew."""
    annotations = tmp_path / 'train.txt'
    annotations.write_text('class_0/0.jpg 0\nclass_1/3.jpg 3\n')
    dataset = dict(
        ann_file=str(annotations), metainfo=dict(classes=list('abcd')))
    runner = build_runner(
        images,
        tmp_path,
        load_from=checkpoint,
        model__head__num_classes=4,
        train_dataloader__dataset=dataset,
        optim_wrapper__optimizer__lr=0.,
        optim_wrapper__optimizer__weight_decay=0.,
        val_dataloader=None,
        val_evaluator=None,
        val_cfg=None,
        train_cfg__max_epochs=1)
    runner.train()
    weights = torch.load(checkpoint, weights_only=False)['state_dict']
    own = runner.model.state_dict()
    name = 'neck.input_proj.weight'
    name = name if name in own else 'backbone.conv1.weight'
    assert torch.equal(own[name], weights[name])
    assert len(own['head.query_embed.weight']) == 4
