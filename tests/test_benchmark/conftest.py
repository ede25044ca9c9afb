import pytest
import torch

from intr_mm.benchmark import bench
from intr_mm.benchmark.child import Worker


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
    monkeypatch.setattr(bench, 'Child', SameProcess)
    yield
    torch.set_num_threads(threads)
