"""Where a run goes on, and whose a work folder is."""
import os
import shutil

import pytest
import torch
from mmengine.config import Config

from intr_mm.checkpoints import (AtomicLocalBackend, choose_start,
                                 claim_work_dir)


@pytest.fixture
def work_dir(tmp_path):
    """Work folder of a run of three epochs."""
    folder = tmp_path / 'work'
    folder.mkdir()
    for epoch in (1, 2, 3, 10):
        torch.save(dict(epoch=epoch), folder / f'epoch_{epoch}.pth')
    torch.save(dict(epoch=0), folder / 'best_top1_epoch_11.pth')
    last = folder / 'last_checkpoint'
    last.write_text(str(folder / 'epoch_10.pth'))
    return folder


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def flip(path):
    content = bytearray(path.read_bytes())
    content[content.index(b'epoch')] ^= 1
    path.write_bytes(content)


def start(work_dir, resume=True, **kwargs):
    cfg = Config(dict(work_dir=str(work_dir), resume=resume, load_from=None))
    choose_start(cfg, 'detr.pth', **kwargs)
    return cfg


@pytest.mark.parametrize('damage', [cut, flip, os.unlink])
def test_newest_whole_checkpoint_is_resumed(work_dir, damage, caplog):
    assert start(work_dir).load_from == str(work_dir / 'epoch_10.pth')
    damage(work_dir / 'epoch_10.pth')
    cut(work_dir / 'epoch_3.pth')
    with caplog.at_level('INFO'):
        assert start(work_dir).load_from == str(work_dir / 'epoch_2.pth')


@pytest.mark.parametrize('damage', [
    os.unlink, lambda path: path.write_text(''),
    lambda path: path.write_bytes(b'\xff\x00'),
    lambda path: path.write_text('/nowhere/epoch_7.pth')
])
def test_damaged_last_checkpoint_is_done_without(work_dir, damage):
    damage(work_dir / 'last_checkpoint')
    assert start(work_dir).load_from == str(work_dir / 'epoch_10.pth')


def test_no_whole_checkpoint_is_an_error(work_dir):
    for path in work_dir.glob('epoch_*'):
        cut(path)
    with pytest.raises(RuntimeError, match='None of the 4 .*--overwrite'):
        start(work_dir)


def test_moved_and_copied_folders_resume_from_what_they_hold(work_dir):
    copy = work_dir.parent / 'copy'
    shutil.copytree(work_dir, copy)
    assert start(copy).load_from == str(copy / 'epoch_10.pth')
    elsewhere = work_dir.parent / 'checkpoints'
    elsewhere.mkdir()
    for path in work_dir.glob('*.pth'):
        path.rename(elsewhere / path.name)
    (work_dir / 'last_checkpoint').write_text(str(elsewhere / 'epoch_3.pth'))
    assert start(work_dir).load_from == str(elsewhere / 'epoch_3.pth')
    cut(elsewhere / 'epoch_3.pth')
    assert start(work_dir).load_from == str(elsewhere / 'epoch_10.pth')


def test_nothing_to_resume_starts_as_the_config_says(tmp_path):
    cfg = start(tmp_path / 'misspelt')
    assert not cfg.resume and cfg.load_from == 'detr.pth'


def test_finished_run_is_not_written_over(work_dir):
    with pytest.raises(FileExistsError, match='--resume.*--work-dir.*--over'):
        start(work_dir, resume=False)
    cfg = start(work_dir, resume=False, overwrite=True)
    assert cfg.load_from is None


def in_other_process(function) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            function()
        except RuntimeError as error:
            os._exit(1 if 'Another run' in str(error) else 2)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_two_runs_do_not_share_a_folder(tmp_path, monkeypatch):

    def claim():
        with claim_work_dir(str(tmp_path / 'work')):
            pass

    with claim_work_dir(str(tmp_path / 'work')):
        assert in_other_process(claim) == 1
        monkeypatch.setenv('RANK', '1')  # of the same run
        assert in_other_process(claim) == 0
    monkeypatch.delenv('RANK')
    assert in_other_process(claim) == 0


def test_what_a_kill_left_is_removed(tmp_path):
    AtomicLocalBackend().put(b'', tmp_path / 'epoch_1.pth')
    (tmp_path / '.epoch_2.pth.0123456789abcdef.part').touch()
    (tmp_path / 'mine.part').touch()
    with claim_work_dir(str(tmp_path)):
        names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ['.lock', 'epoch_1.pth', 'mine.part']


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match="file/work' cannot .*--work-dir"):
        with claim_work_dir(str(tmp_path / 'file' / 'work')):
            pass
