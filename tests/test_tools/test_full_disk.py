"""A disk that is full, and has room again."""
import subprocess

import pytest

from ..tiny import CONFIG, data_options
from .conftest import assert_same_weights, losses

pytestmark = [pytest.mark.slow, pytest.mark.heavy]


@pytest.fixture
def disk(tmp_path):
    """A file system of its own, which holds two checkpoints and no third."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=1200k', 'tmpfs', folder]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip('there is no mount')
    if done.returncode:
        pytest.skip(f'nothing can be mounted: {done.stderr}')
    yield folder
    # logs are open
    subprocess.run(['umount', '--lazy', folder], check=True)


def test_training_goes_on_where_there_is_room_again(images, disk, tmp_path,
                                                    run_tool, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')
    options = dict(data_options(images), **{'train_dataloader.num_workers': 0})

    def train(work_dir, *flags):
        run_tool('train.py', CONFIG, '--work-dir', work_dir, *flags,
                 '--cfg-options',
                 *(f'{key}={value}' for key, value in options.items()))

    train(tmp_path / 'unbroken')
    with pytest.raises(SystemExit) as end:
        train(disk / 'run')
    print(end.value.code)
    assert end.value.code.startswith(
        f"train.py: '{disk}/run/epoch_2.pth' cannot be written (No space ")
    assert end.value.code.endswith(
        ' --resume` to go on from the last checkpoint.')
    names = sorted(path.name for path in (disk / 'run').iterdir())
    assert names[:2] == ['.lock', names[1]] and names[1][:2] == '20'
    assert names[2:] == ['epoch_1.pth', 'last_checkpoint', 'tiny_intr.py']

    subprocess.run(['mount', '-o', 'remount,size=9m', disk], check=True)
    train(disk / 'run', '--resume')
    assert losses(disk / 'run') == losses(tmp_path / 'unbroken')
    assert_same_weights(disk / 'run/epoch_3.pth',
                        tmp_path / 'unbroken/epoch_3.pth')
