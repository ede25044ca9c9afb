from contextlib import closing
from multiprocessing import Pipe
from threading import Thread

import pytest
from mmengine.config import Config

from benchmarks import run
from benchmarks.cases import Case, Task
from benchmarks.workers import WorkerProcess, serve
from ..tiny import CONFIG
from .conftest import SameProcess
from .implementations import Faulty, Healthy, Killed

CASE = Case('predict', 3, 1, (32, 32))


def test_goes_on_without_those_who_are_killed(monkeypatch, tmp_path,
                                              same_process):

    def start(name, *args):
        process = WorkerProcess if name == 'killed' else SameProcess
        return process(name, *args)

    monkeypatch.setattr(run, 'WorkerProcess', start)
    builders = dict(fp32=Healthy, killed=Killed)
    tasks = [Task(name, 'predict') for name in ('killed', 'fp32')]
    bench = run.Bench(
        Config.fromfile(CONFIG), builders, tmp_path, 'cpu', repeat=3)
    with closing(bench):
        result = bench.measure(CASE, tasks)
    killed, healthy = result.measurements
    assert 'exit code 137' in killed.failure and not killed.seconds
    assert len(healthy.seconds) == 3 and healthy.failure is None
    assert healthy.output.tolist() == [[0, 1, 2]]
    (comparison, ) = result.comparisons
    assert comparison['speedups'] == [] and comparison['agreement'] is None


@pytest.mark.parametrize('operation, kind, message', [
    ('starve', 'memory', 'allocate'),
    ('fail', 'error', 'ZeroDivisionError'),
])
def test_tells_lack_of_memory_from_errors(operation, kind, message):
    ours, theirs = Pipe()
    thread = Thread(target=serve, args=(theirs, Faulty, 'cpu'))
    thread.start()
    ours.send(('prepare', (CASE, [operation])))
    assert ours.recv() == ('ok', None)
    ours.send(('run', (operation, )))
    answer = ours.recv()
    ours.close()
    thread.join()
    assert answer[0] == kind and message in answer[1]
