import pytest
import torch

from benchmarks import run
from benchmarks.workers import Worker


class SameProcess:
    """Stands in for a process, which takes seconds to start."""

    def __init__(self, name, build, device):
        self.worker = Worker(build(), device)

    def ask(self, method, *args):
        return getattr(self.worker, method)(*args)

    def close(self):
        del self.worker


@pytest.fixture
def same_process(monkeypatch):
    """Let implementations live in this process."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(run, 'WorkerProcess', SameProcess)
    yield
    torch.set_num_threads(threads)
