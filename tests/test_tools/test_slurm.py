import os
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.mark.parametrize('tool, last, flag', [
    ('train', 'work', '--work-dir=work'),
    ('test', 'epoch_1.pth', 'epoch_1.pth'),
])
def test_command_handed_to_srun(tmp_path, tool, last, flag):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    env = dict(
        os.environ,
        PATH=f"{tmp_path}:{os.environ['PATH']}",
        PYTHON='python3',
        GPUS='8',
        SRUN_ARGS='--qos=high --exclusive')
    output = subprocess.run([
        'bash',
        str(TOOLS / f'slurm_{tool}.sh'), 'part', 'job', 'config.py', last,
        '--cfg-options', 'key=[a, b]'
    ],
                            env=env,
                            text=True,
                            check=True,
                            stdout=subprocess.PIPE).stdout
    args = output.splitlines()
    assert args[:4] == ['-p', 'part', '--job-name=job', '--gres=gpu:4']
    assert {'--ntasks=8', '--qos=high', '--exclusive'} < set(args)
    command = args[args.index('python3'):]
    assert command[:4] == [
        'python3', '-u',
        str(TOOLS / f'{tool}.py'), 'config.py'
    ]
    assert command[4] == flag
    assert command[5:] == ['--launcher=slurm', '--cfg-options', 'key=[a, b]']
