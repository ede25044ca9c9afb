"""Runs that are killed, and what they resume to.

``KILLS=20 pytest -s tests/test_tools/test_kills.py`` kills 20 times, and
prints when.
"""
import multiprocessing
import os
import random
import runpy
import signal
import sys
import time

import pytest

from ..tiny import CONFIG, ROOT, data_options
from .conftest import (assert_same_weights, dist_tool, finish, free_port,
                       losses, run, start)

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get('KILLS', 2))
EPOCHS = 2 * KILLS


def train(log, images, work_dir, *flags):
    """Run ``tools/train.py`` in this process."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    options = dict(data_options(images), **{'train_cfg.max_epochs': EPOCHS})
    path = ROOT / 'tools/train.py'
    sys.argv = [
        str(path), CONFIG, '--work-dir',
        str(work_dir), *flags, '--cfg-options',
        *(f'{key}={value}' for key, value in options.items())
    ]
    runpy.run_path(str(path), run_name='__main__')


@pytest.mark.heavy
def test_kills_at_random_moments(images, tmp_path, monkeypatch):
    """One run, killed and resumed again and again."""
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    # forks of a process that has imported everything, and done nothing yet
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['intr_mm', 'intr_mm.command_line'])
    log, work_dir = tmp_path / 'log', tmp_path / 'killed'

    def start(*args):
        process = context.Process(target=train, args=(log, images, *args))
        process.start()
        return process

    warm_up = context.Process(target=int)
    warm_up.start()
    warm_up.join()
    began = time.time()
    unbroken = start(tmp_path / 'unbroken')
    unbroken.join()
    assert unbroken.exitcode == 0, log.read_text()
    first = (tmp_path / 'unbroken/epoch_1.pth').stat().st_mtime - began
    epoch = (time.time() - began - first) / (EPOCHS - 1)
    seed = int(os.environ.get('SEED', began))
    print(f'\nseed {seed}: the first epoch takes {first:.1f} s with all that '
          f'comes before, others {epoch:.1f} s')

    moments = random.Random(seed)
    flags = ()
    for kill in range(KILLS):
        process = start(work_dir, *flags)
        process.join(moments.uniform(0, first + 2 * epoch))
        process.kill()
        process.join()
        print(
            f'kill {kill + 1} after iteration {max(losses(work_dir) or [0])}'
            f', in the folder '
            f'{sorted(path.name for path in work_dir.glob("*epoch_*"))[-3:]}')
        if process.exitcode != -signal.SIGKILL:
            assert process.exitcode == 0, log.read_text()  # it was done
            break
        flags = ('--resume', )
    process = start(work_dir, *flags)
    process.join()
    assert process.exitcode == 0, log.read_text()
    print(
        *(line for line in log.read_text().splitlines()
          if 'resum' in line.lower()),
        sep='\n')
    assert losses(work_dir) == losses(tmp_path / 'unbroken')
    last = f'epoch_{EPOCHS}.pth'
    assert_same_weights(work_dir / last, tmp_path / 'unbroken' / last)
    assert not list(work_dir.glob('.*.part'))


def test_death_of_one_process_ends_all_in_one_sentence(images, tmp_path):
    config = tmp_path / 'killed.py'
    config.write_text(f"_base_ = '{CONFIG}'\n"
                      "custom_imports = dict(imports=['intr_mm', 'kill_hook'])"
                      "\ndefault_hooks = dict(kill=dict(type='KillHook', "
                      'iteration=4, rank=1))')
    command = dist_tool('dist_train.sh', 2)
    command[2] = config
    work_dir = tmp_path / 'work'
    log = run(command, images, work_dir, code=1, PORT=free_port())
    *_, last = log.splitlines()
    assert last.startswith('launch.py: process 1 (pid ')
    assert 'was ended by SIGKILL' in last
    assert f'dist_train.sh {config} 2 ' in last and ' --resume` to ' in last
    assert 'Traceback' not in log
    assert (work_dir / 'last_checkpoint').read_text().endswith('epoch_1.pth')


@pytest.mark.heavy
def test_launcher_that_is_stopped(images, tmp_path):
    process = start(
        dist_tool('dist_train.sh', 1),
        images,
        tmp_path,
        PORT=free_port(),
        options={'train_cfg.max_epochs': 1000})
    while 'Epoch(train)' not in process.stdout.readline():
        assert process.poll() is None, process.stdout.read()
    process.send_signal(signal.SIGTERM)
    log = finish(process, 128 + signal.SIGTERM)
    assert 'Traceback' not in log
    assert 'launch.py: stopped by SIGTERM; run `' in log
