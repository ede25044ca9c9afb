import argparse
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file

from intr_mm.checkpoints import load_weights
from intr_mm.checkpoints.download import cache_path


class Intruder:
    """Its loading runs a command, as a malicious checkpoint's would."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path), )


def test_checkpoint_of_a_runner_is_loaded_unchanged(tmp_path):
    hub = MessageHub.get_instance('test_reading')
    hub.update_scalar('train/loss', 1.5)
    hub.update_scalar('train/loss', 2.5)
    hub.update_info('best_score', np.float32(0.25))
    hub.update_info('array', np.arange(3))
    path = str(tmp_path / 'epoch_1.pth')
    param = torch.nn.Parameter(torch.arange(3.))
    torch.save(
        dict(
            message_hub=hub.state_dict(),
            state_dict={'weight': param},
            rng=torch.get_rng_state(),
            args=argparse.Namespace(layers=6)), path)

    loaded = CheckpointLoader.load_checkpoint(path, 'cpu')
    torch.testing.assert_close(loaded['state_dict']['weight'], param)
    assert torch.equal(loaded['rng'], torch.get_rng_state())
    assert loaded['args'].layers == 6
    buffer = loaded['message_hub']['log_scalars']['train/loss']
    assert isinstance(buffer, HistoryBuffer) and buffer.mean() == 2.
    assert loaded['message_hub']['runtime_info']['best_score'] == 0.25
    assert loaded['message_hub']['runtime_info']['array'].tolist() == [0, 1, 2]


@pytest.mark.parametrize('zipped', [True, False])
def test_code_in_a_checkpoint_is_not_run(tmp_path, zipped):
    path = str(tmp_path / 'stranger.pth')
    torch.save(
        dict(state_dict={}, meta=Intruder(tmp_path / 'proof')),
        path,
        _use_new_zipfile_serialization=zipped)
    with pytest.raises(RuntimeError, match=r'stranger\.pth.* code'):
        CheckpointLoader.load_checkpoint(path, 'cpu')
    assert not (tmp_path / 'proof').exists()


def test_getattr_is_not_open_to_checkpoints(tmp_path):

    class Peek:

        def __reduce__(self):
            return getattr, (HistoryBuffer, '__init__')

    path = str(tmp_path / 'peek.pth')
    torch.save(dict(state_dict=Peek()), path)
    with pytest.raises(RuntimeError, match='peek.pth'):
        load_weights(path)


def test_file_without_names_is_named(tmp_path):
    path = str(tmp_path / 'tensors.pth')
    torch.save([torch.zeros(2)], path)
    with pytest.raises(RuntimeError, match=r'tensors\.pth.* list'):
        load_weights(path)


@pytest.mark.parametrize('content', ['cut', 'text', 'nothing'])
def test_damaged_file_is_named(tmp_path, content):
    path = tmp_path / 'damaged.pth'
    torch.save(dict(state_dict={'weight': torch.rand(100)}), path)
    whole = path.read_bytes()
    path.write_bytes(
        dict(cut=whole[:len(whole) // 2], text=b'Not found',
             nothing=b'')[content])
    with pytest.raises(RuntimeError, match='damaged.pth') as error:
        load_weights(str(path))
    assert '\n' not in str(error.value)


def test_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match='no/such.pth'):
        CheckpointLoader.load_checkpoint('no/such.pth')


def test_url_is_loaded_as_safely(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    torch.save({'weight': torch.arange(3.)}, tmp_path / 'good.pth')
    torch.save({'x': Intruder(tmp_path / 'proof')}, tmp_path / 'evil.pth')
    server = ThreadingHTTPServer(
        ('127.0.0.1', 0),
        partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f'http://127.0.0.1:{server.server_port}'
    try:
        loaded = CheckpointLoader.load_checkpoint(f'{url}/good.pth', 'cpu')
        assert loaded['weight'].tolist() == [0, 1, 2]
        with pytest.raises(RuntimeError, match=r'evil\.pth.* code'):
            CheckpointLoader.load_checkpoint(f'{url}/evil.pth', 'cpu')
    finally:
        server.shutdown()
    assert not (tmp_path / 'proof').exists()


def test_safetensors_are_known_by_their_content(tmp_path):
    path = tmp_path / 'weights.pth'
    save_file({'weight': torch.arange(3.)}, path)
    loaded = CheckpointLoader.load_checkpoint(str(path), 'cpu')
    assert loaded['weight'].tolist() == [0, 1, 2]
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(RuntimeError, match=r'weights\.pth.* read'):
        load_weights(str(path))


@pytest.mark.parametrize('url, path', [
    ('https://a.org/detr-r50-e632da11.pth', 'detr-r50-e632da11.pth'),
    ('https://b.co/me/x/main/model.safetensors?download=true',
     'b.co/me/x/main/model.safetensors'),
    ('https://b.co/../../model.bin', 'b.co/model.bin'),
])
def test_urls_of_one_name_do_not_meet_in_the_cache(url, path):
    assert cache_path(url) == f'{torch.hub.get_dir()}/checkpoints/{path}'


def test_unreachable_url_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(RuntimeError, match=r'127\.0\.0\.1:9/x\.pth.*fetched'):
        CheckpointLoader.load_checkpoint('http://127.0.0.1:9/x.pth', 'cpu')


@pytest.mark.slow
@pytest.mark.parametrize('value, ours', [('0', False), ('1', True)])
def test_loaders_of_mmengine_can_be_kept(value, ours):
    """``INTR_MM_SAFE_LOADERS=0`` in the environment."""
    code = """
import intr_mm
from mmengine.runner import CheckpointLoader
for path in ('epoch_1.pth', 'http://a.org/a.pth', 'https://a.org/a.pth'):
    print(CheckpointLoader._get_checkpoint_loader(path).__module__)
"""
    result = subprocess.run([sys.executable, '-c', code],
                            env=dict(os.environ, INTR_MM_SAFE_LOADERS=value),
                            capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stderr
    modules = result.stdout.split()[-3:]
    loaders = 'intr_mm.checkpoints.loaders' if ours else (
        'mmengine.runner.checkpoint')
    assert modules == [loaders] * 3
