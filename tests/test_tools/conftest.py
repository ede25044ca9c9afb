"""Runs of the tools in processes of their own."""
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

from ..tiny import CONFIG, ROOT, data_options


def start(command, images, work_dir, *flags, options=None, **env):
    """Start a tool in the work folder, on images if the config needs any."""
    work_dir.mkdir(exist_ok=True)
    options = dict(data_options(images) if images else {}, **(options or {}))
    command = [
        *map(str, command), '--work-dir',
        str(work_dir), *flags, '--cfg-options',
        *(f'{key}={value}' for key, value in options.items())
    ]
    path = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
    # training on the CPU is what is tested, also where there is a GPU
    env = dict(
        os.environ,
        PYTHONPATH=path,
        PYTHON=sys.executable,
        CUDA_VISIBLE_DEVICES='',
        OMP_NUM_THREADS='1',
        **env)
    return subprocess.Popen(
        command,
        cwd=work_dir,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)


def finish(process, code=0):
    output = process.communicate(timeout=300)[0]
    assert process.returncode == code, output
    return output


def run(*args, code=0, **kwargs):
    return finish(start(*args, **kwargs), code)


def tool(name, config=CONFIG):
    return [sys.executable, ROOT / 'tools' / name, config]


def dist_tool(name, *args):
    return ['bash', ROOT / 'tools' / name, CONFIG, *args]


def free_port():
    with socket.socket() as sock:
        sock.bind(('', 0))
        return str(sock.getsockname()[1])


def losses(work_dir):
    """Losses by iteration, a later run in the folder overrides."""
    losses = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if 'loss' in entry:
                losses[entry['iter']] = entry['loss']
    return losses


def weights(path):
    return torch.load(
        path, map_location='cpu', weights_only=False)['state_dict']


def assert_same_weights(path, other):
    path, other = weights(path), weights(other)
    assert path.keys() == other.keys()
    for name, weight in path.items():
        assert torch.equal(weight, other[name]), name
