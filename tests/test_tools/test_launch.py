"""The scripts that start several processes."""
import signal
import subprocess
import sys

import pytest

from ..tiny import CONFIG, ROOT
from .conftest import finish, start


@pytest.mark.parametrize(
    'name',
    ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh'])
@pytest.mark.parametrize('args', [[], ['config.py', 'last.pth', 'many']])
def test_wrong_arguments(name, args):
    done = subprocess.run(['bash', ROOT / 'tools' / name, *args],
                          capture_output=True,
                          text=True)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith(f'Usage: tools/{name} ')
    assert f"got '{' '.join(args)}'" in done.stderr


@pytest.mark.parametrize('name, args', [
    ('dist_train.sh', ['no.py', '2']),
    ('dist_test.sh', ['no.py', 'no.pth', '2']),
])
def test_missing_config(name, args):
    done = subprocess.run(['bash', ROOT / 'tools' / name, *args],
                          capture_output=True,
                          text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{name}: config 'no.py' does not exist")


@pytest.mark.slow
def test_a_training_that_is_stopped_says_how_to_go_on(images, tmp_path):
    process = start([sys.executable, ROOT / 'tools/train.py', CONFIG],
                    images,
                    tmp_path,
                    options={'train_cfg.max_epochs': 1000})
    for line in process.stdout:
        if 'Epoch(train)' in line:
            break
    process.send_signal(signal.SIGTERM)
    output = finish(process, 128 + signal.SIGTERM)
    assert output.splitlines()[-1].startswith(
        'train.py: stopped by SIGTERM; run `python ')
    assert 'Traceback' not in output
