"""What a tool asks of the machine."""
import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.utils import digit_version

from intr_mm.command_line import machine
from intr_mm.command_line.machine import (advise_threads, check_display,
                                          setup_cpu_distributed)

SETTING = Path('/sys/kernel/mm/transparent_hugepage/enabled')
on_linux_without_gpu = pytest.mark.skipif(
    torch.cuda.is_available() or not Path('/proc/self/smaps_rollup').exists(),
    reason='for Linux without an accelerator')


@pytest.mark.parametrize('launcher, variable', [('pytorch', 'RANK'),
                                                ('slurm', 'SLURM_PROCID'),
                                                ('mpi', 'OMPI_COMM_WORLD_')])
def test_launchers_that_started_nothing(monkeypatch, launcher, variable):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(ValueError, match=variable):
        setup_cpu_distributed(Config(dict(launcher=launcher)))


def test_windows_need_a_display(monkeypatch):
    monkeypatch.setattr(sys, 'platform', 'linux')
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    check_display(False)
    with pytest.raises(ValueError, match='--show-dir instead'):
        check_display(True)
    monkeypatch.setenv('DISPLAY', ':0')
    check_display(True)


def mib_of(field, code, **env):
    """What Linux says of a process after it ran a line of code."""
    settings = ('THP_MEM_ALLOC_ENABLE', 'MALLOC_MMAP_THRESHOLD_')
    others = {k: v for k, v in os.environ.items() if k not in settings}
    code = f"""
import torch
from intr_mm.command_line.machine import keep_freed_memory, use_huge_pages
{code}
for line in open('/proc/self/smaps_rollup'):
    if line.startswith('{field}:'):
        print(int(line.split()[1]) / 1024)
"""
    result = subprocess.run([sys.executable, '-c', code],
                            env=dict(others, **env),
                            capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stderr
    return float(result.stdout.split()[-1])


@pytest.mark.parametrize('load, threads, variable, told', [
    (9., 2, None, True),
    (.5, 2, None, False),
    (9., 1, None, False),
    (9., 2, '2', False),
])
def test_busy_cores_are_told(monkeypatch, load, threads, variable, told):
    monkeypatch.setattr('os.getloadavg', lambda: (load, load, load))
    monkeypatch.setattr('os.cpu_count', lambda: 2)
    monkeypatch.setattr('torch.get_num_threads', lambda: threads)
    monkeypatch.setattr(machine, 'get_device', lambda: 'cpu')
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    if variable is not None:
        monkeypatch.setenv('OMP_NUM_THREADS', variable)
    said = []
    monkeypatch.setattr(machine, 'print_log',
                        lambda text, *_: said.append(text))
    advise_threads()
    assert len(said) == told
    assert not told or 'OMP_NUM_THREADS=1' in said[0]


@pytest.mark.slow
@pytest.mark.heavy
@on_linux_without_gpu
@pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.2'),
    reason='PyTorch 2.1 takes no huge pages')
@pytest.mark.skipif(
    not SETTING.exists() or '[madvise]' not in SETTING.read_text(),
    reason='Linux does not let programs choose huge pages')
def test_tensors_lie_in_huge_pages_unless_refused():
    code = 'use_huge_pages(); tensor = torch.ones(2**24)'  # 64 MiB
    with_pages = mib_of('AnonHugePages', code)
    refused = mib_of('AnonHugePages', code, THP_MEM_ALLOC_ENABLE='0')
    # the last page may be cut
    assert with_pages >= refused + 60


@pytest.mark.slow
@pytest.mark.heavy
@on_linux_without_gpu
@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), 'mallopt'), reason='needs glibc')
def test_freed_memory_is_kept_unless_refused():
    code = 'keep_freed_memory(); tensor = torch.ones(2**26); del tensor'
    kept = mib_of('Rss', code)
    refused = mib_of('Rss', code, MALLOC_MMAP_THRESHOLD_='131072')
    assert kept >= refused + 200  # of 256 MiB
