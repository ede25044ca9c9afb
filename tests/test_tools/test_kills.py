"""Runs that are killed, and what they resume to.

``KILLS=20 pytest -s tests/test_tools/test_kills.py`` kills 20 times, and
prints when.
"""
import os
import random
import signal
import time

import pytest

from ..tiny import CONFIG
from .conftest import (assert_same_weights, dist_tool, finish, free_port,
                       losses, run, start, tool)

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get('KILLS', 2))
EPOCHS = 4 * KILLS


@pytest.mark.heavy
def test_kills_at_random_moments(images, tmp_path):
    """One run, killed and resumed again and again."""
    options = {'train_cfg.max_epochs': EPOCHS}
    began = time.time()
    limit = 300 * KILLS
    run(tool('train.py'),
        images,
        tmp_path / 'unbroken',
        options=options,
        timeout=limit)
    seed = int(os.environ.get('SEED', began))
    print(f'\nseed {seed}')
    moments = random.Random(seed)
    work_dir = tmp_path / 'killed'
    flags = ()
    for kill in range(KILLS):
        process = start(
            tool('train.py'), images, work_dir, *flags, options=options)
        while 'Checkpoints will be saved' not in process.stdout.readline():
            assert process.poll() is None, process.stdout.read()
        time.sleep(moments.uniform(0, 3))
        process.kill()
        log, _ = process.communicate()
        print(f'kill {kill + 1} after iteration {max(losses(work_dir) or [0])}'
              f', in the folder '
              f'{sorted(path.name for path in work_dir.glob("*epoch_*"))}')
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0, log  # it was done
            break
        flags = ('--resume', )
    log = run(
        tool('train.py'),
        images,
        work_dir,
        *flags,
        options=options,
        timeout=limit)
    print(
        *(line for line in log.splitlines() if 'resum' in line.lower()),
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
