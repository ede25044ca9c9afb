import io
import os
import signal

import torch
from mmengine.runner import save_checkpoint

from intr_mm.checkpoints import AtomicLocalBackend


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
    assert [file.name for file in tmp_path.iterdir()] == ['epoch_1.pth']
    assert torch.load(io.BytesIO(former))['step'] == 1
