import functools
import io
import os
import resource
import signal

import pytest
import torch
from mmengine.runner import save_checkpoint
from safetensors.torch import load_file

from intr_mm.checkpoints import AtomicLocalBackend, remove_parts, save_weights


def _in_killed_process(write) -> int:
    """Run ``write`` in a process of its own and return how it ended."""
    pid = os.fork()
    if pid == 0:
        write()
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def test_a_kill_while_writing_leaves_the_former_file(tmp_path, monkeypatch):
    path = tmp_path / 'epoch_1.pth'
    save_checkpoint(
        dict(step=1),
        str(path),
        backend_args=dict(backend='AtomicLocalBackend'))
    former = path.read_bytes()

    monkeypatch.setattr(os, 'fsync',
                        lambda fd: os.kill(os.getpid(), signal.SIGKILL))
    status = _in_killed_process(
        lambda: AtomicLocalBackend().put(b'new', str(path)))
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert path.read_bytes() == former

    monkeypatch.undo()
    AtomicLocalBackend().put(b'new', path)
    assert path.read_bytes() == b'new'
    assert len(list(tmp_path.iterdir())) == 2  # what the kill left
    remove_parts(str(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ['epoch_1.pth']
    assert torch.load(io.BytesIO(former))['step'] == 1


def limited(size, write):
    """Run ``write`` in a process whose files cannot grow beyond a size."""

    def run():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        try:
            write()
        except OSError as error:
            os._exit('cannot be written' in str(error))
        os._exit(2)

    return os.waitstatus_to_exitcode(_in_killed_process(run))


def test_a_full_disk_names_the_file_and_leaves_nothing_of_it(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    path.write_bytes(b'former')
    write = functools.partial(AtomicLocalBackend().put, bytes(10**6), path)
    assert limited(10**5, write) == 1
    assert path.read_bytes() == b'former'
    assert os.listdir(tmp_path) == ['epoch_1.pth']


def test_parts_are_not_written_through_links(tmp_path, monkeypatch):
    """Not even by one who knows what name is drawn."""
    mine = tmp_path / 'mine'
    mine.write_text('mine')
    monkeypatch.setattr('secrets.token_hex', lambda n: '0' * 2 * n)
    (tmp_path / f'.x.{"0" * 16}.part').symlink_to(mine)
    with pytest.raises(OSError, match="x' cannot be written"):
        AtomicLocalBackend().put(b'other', tmp_path / 'x')
    assert mine.read_text() == 'mine'
    monkeypatch.undo()
    umask = os.umask(0o027)
    AtomicLocalBackend().put(b'other', tmp_path / 'x')
    os.umask(umask)
    assert (tmp_path / 'x').stat().st_mode & 0o777 == 0o640


def test_the_format_is_told_by_the_ending_in_any_case(tmp_path):
    path = tmp_path / 'W.SAFETENSORS'
    save_weights(dict(a=torch.ones(2)), str(path))
    assert load_file(path)['a'].tolist() == [1, 1]
