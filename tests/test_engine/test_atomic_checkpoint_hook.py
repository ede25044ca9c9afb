import pytest
from mmengine.fileio import LocalBackend

from intr_mm.engine import AtomicLocalBackend
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
    build_runner(images, tmp_path, train_cfg__max_epochs=1).train()
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
