"""All kinds of addresses pass the safe reader, or are refused."""
import os
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint

from intr_mm.checkpoints import LOADERS, loaders

URL = 'http://127.0.0.1:9/x.pth'
ADDRESSES = [
    'x.pth', URL, 'torchvision://resnet18', 'modelzoo://resnet18',
    'open-mmlab://x', 'openmmlab://x', 'open-mmlab://local', 'mmcls://x',
    's3://x/x.pth', 'petrel://x/x.pth', 'open-mmlab:s3://x/x.pth'
]


class Intruder:

    def __reduce__(self):
        return os.mkdir, ('proof', )


@pytest.mark.parametrize('address', ADDRESSES)
def test_no_address_leads_around_the_reader(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({'a.weight': Intruder()}, 'x.pth')
    path = str(tmp_path / 'x.pth')

    @contextmanager
    def get_local_path(filename):
        yield path

    monkeypatch.setattr(loaders, 'cache_path', lambda url: path)
    for name, names in (('get_torchvision_models', ['resnet18']),
                        ('get_external_models', ['x']), ('get_mmcls_models',
                                                         ['x'])):
        urls = dict(dict.fromkeys(names, URL), local='x.pth')
        monkeypatch.setattr(mmengine_checkpoint, name, lambda u=urls: u)
    monkeypatch.setattr(mmengine_checkpoint, '_get_mmengine_home',
                        lambda: str(tmp_path))
    monkeypatch.setattr(
        loaders, 'get_file_backend',
        lambda *_, **__: SimpleNamespace(get_local_path=get_local_path))
    with pytest.raises(RuntimeError, match='could run code'):
        CheckpointLoader.load_checkpoint(address, 'cpu')
    assert not os.path.exists('proof')


@pytest.mark.parametrize('address, problem', [
    ('pavi://x', 'download it'),
    ('torchvision://resnet19', 'closest names are resnet'),
    ('open-mmlab://resnet19', 'closest names are'),
    ('gs://x/x.pth', "'gs://' is not known"),
    ('file:///x.pth', "'file://' is not known"),
])
def test_address_that_is_refused(address, problem):
    with pytest.raises((RuntimeError, ValueError, OSError), match=problem):
        CheckpointLoader.load_checkpoint(address, 'cpu')


def test_mmengine_has_no_further_kinds_of_addresses():
    ours = {prefix for prefixes in LOADERS for prefix in prefixes}
    assert CheckpointLoader._schemes.keys() == ours
