"""Files that are no checkpoints, or no longer what was written."""
import io
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from mmengine.runner import CheckpointLoader
from safetensors.torch import save

from intr_mm.checkpoints import save_weights, verify_file

WEIGHTS = {'a.weight': torch.arange(300.), 'a.bias': torch.ones(3)}


def saved(content, **kwargs) -> bytes:
    with io.BytesIO() as f:
        torch.save(content, f, **kwargs)
        return f.getvalue()


def archive(method=zipfile.ZIP_STORED, **records) -> bytes:
    with io.BytesIO() as f:
        with zipfile.ZipFile(f, 'w', method) as z:
            for name, content in records.items():
                z.writestr(f"archive/{name.replace('_', '.')}", content)
        return f.getvalue()


def recompressed() -> bytes:
    """A checkpoint whose records a zip bomb's would be like."""
    with io.BytesIO() as f:
        with zipfile.ZipFile(f, 'w', zipfile.ZIP_DEFLATED) as z:
            with zipfile.ZipFile(io.BytesIO(saved(WEIGHTS))) as source:
                for name in source.namelist():
                    z.writestr(name, source.read(name))
            z.writestr('archive/data/9', b'\0' * 10**7)
        return f.getvalue()


def tar() -> bytes:
    with io.BytesIO() as f:
        with tarfile.open(fileobj=f, mode='w') as t:
            t.addfile(tarfile.TarInfo('storages'))
        return f.getvalue()


def script() -> bytes:
    with io.BytesIO() as f:
        torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), f)
        return f.getvalue()


def with_header(header: bytes) -> bytes:
    return len(header).to_bytes(8, 'little') + header + bytes(8)


def weights(**changes) -> bytes:
    return saved(dict(state_dict=dict(WEIGHTS, **changes)))


def meta(**changes) -> bytes:
    return saved(dict(state_dict=WEIGHTS, meta=changes))


TINY = weights()
# what is in the file, and what is said about it
BAD = dict(
    empty=(lambda: b'', 'is empty'),
    html=(lambda: b'\n<!DOCTYPE html><html>Sign in</html>', 'is a web page'),
    text=(lambda: b'Not found', "begins with b'Not foun'"),
    lfs=(lambda: b'version https://git-lfs.github.com/spec/v1\noid', 'LFS'),
    hdf5=(lambda: b'\x89HDF\r\n\x1a\n' + bytes(99), 'HDF5'),
    zeros=(lambda: bytes(999), 'begins with zeros'),
    picture=(lambda: b'\x89PNG\r\n\x1a\n' + bytes(99), 'begins with'),
    cut=(lambda: TINY[:len(TINY) // 2], 'cut short or damaged'),
    cut_at_the_end=(lambda: TINY[:-1], 'cut short or damaged'),
    four_bytes=(lambda: TINY[:4], 'cut short or damaged'),
    tar=(tar, 'tar archive'),
    torch_script=(script, 'TorchScript'),
    other_zip=(lambda: archive(readme_txt='hello'), 'no file of PyTorch'),
    no_weights_in_zip=(lambda: archive(data_pkl='hello'), r'\.pth'),
    bomb=(recompressed, 'compressed'),
    bomb_of_one_record=(
        lambda: archive(zipfile.ZIP_DEFLATED, data_pkl=b'\0' * 10**7),
        'compressed'),
    expanded=(lambda: weights(w=torch.zeros(1).expand(10**12)),
              "'w' claims 1000000000000 numbers"),
    meta_tensor=(lambda: weights(w=torch.zeros(9, device='meta')),
                 "'w' is a tensor of .* meta|not safe"),
    sparse=(lambda: weights(w=torch.eye(3).to_sparse()),
            "'w' is a tensor of .*sparse|not safe"),
    complex=(lambda: weights(w=torch.zeros(3, dtype=torch.complex64)),
             "'w' is a tensor of torch.complex64"),
    nan=(lambda: weights(w=torch.tensor([1., np.nan])), "'w' .*not finite"),
    infinite=(lambda: weights(w=torch.tensor([np.inf]).half()),
              "'w' .*not finite"),
    nan_bare=(lambda: saved({'w': torch.tensor(np.nan)}), "'w' .*not finite"),
    nan_of_model=(lambda: saved(dict(model={'w': torch.tensor(np.nan)})),
                  "'w' .*not finite"),
    nan_in_safetensors=(lambda: save({'w': torch.tensor([np.nan])}),
                        "'w' .*not finite"),
    number=(lambda: weights(w=3), "'w' is a int and no tensor"),
    array=(lambda: weights(w=np.zeros(3)), "'w' is a ndarray and no tensor"),
    nothing=(lambda: weights(w=None), "'w' is a NoneType and no tensor"),
    several=(lambda: weights(v='a', w='b'), "'v' is a str .* 1 more like it"),
    text_bare=(lambda: saved({
        'a.w': 'x',
        **WEIGHTS
    }), "'a.w' is a str"),
    name_is_number=(lambda: saved(dict(state_dict={0: torch.ones(1)})),
                    'weight 0, which is no text'),
    list=(lambda: saved([torch.ones(1)]), 'holds a list'),
    tensor=(lambda: saved(torch.ones(1)), 'holds a Tensor'),
    state_dict_is_list=(lambda: saved(dict(state_dict=[1])), 'is a list'),
    state_dict_is_none=(lambda: saved(dict(state_dict=None)), 'is a NoneType'),
    meta_is_text=(lambda: saved(dict(state_dict=WEIGHTS, meta='x')),
                  "'meta' is a str"),
    dataset_meta_is_list=(lambda: meta(dataset_meta=[1]),
                          'dataset_meta that is a list'),
    classes_are_numbers=(lambda: meta(dataset_meta=dict(classes=[1, 2, 3])),
                         'class name that is a int'),
    classes_are_text=(lambda: meta(dataset_meta=dict(classes='abc')),
                      'class names that are a str'),
    classes_are_a_number=(lambda: meta(dataset_meta=dict(classes=3)),
                          'class names that are a int'),
    old_classes=(lambda: meta(CLASSES=[None]), 'class name that is a None'),
    long_header=(lambda: (10**15).to_bytes(8, 'little') + b'{}' + bytes(99),
                 'longer than any'),
    cut_header=(lambda: with_header(b'{"a":')[:12], 'cannot be read'),
    no_json=(lambda: with_header(b'{"a": nonsense}'), 'cannot be read'),
    wrong_offsets=(lambda: with_header(
        b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'),
                   'cannot be read'),
    wrong_digest=(lambda: with_header(
        b'{"__metadata__":{"sha256":"0"},'
        b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'), 'SHA-256'),
    cut_pickle=(
        lambda: saved(WEIGHTS, _use_new_zipfile_serialization=False)[:700],
        r'\.pth'),
    plain_pickle=(lambda: pickle.dumps(WEIGHTS), r'\.pth'),
    nested_pickle=(lambda: b'\x80\x02' + b']' * 10**4 + b'.', r'\.pth'),
    long_bytearray=(lambda: saved(dict(meta=Bytes())), r'\.pth'),
)


class Bytes:
    """It asks for more memory than there is."""

    def __reduce__(self):
        return bytearray, (2**60, )


@pytest.mark.parametrize('kind', BAD)
def test_bad_file_is_refused_in_one_sentence(kind, tmp_path):
    make, problem = BAD[kind]
    path = tmp_path / 'file.pth'
    path.write_bytes(make())
    with pytest.raises(RuntimeError, match=problem) as error:
        CheckpointLoader.load_checkpoint(str(path), 'cpu')
    message = str(error.value)
    assert message.startswith(f"Checkpoint '{path}'")
    assert '\n' not in message and len(message) < 500
    assert message.endswith('.')


@pytest.mark.parametrize('make, problem', [
    (lambda path: path.mkdir(), 'is a folder'),
    (lambda path: os.mkfifo(path), 'is no file'),
    (lambda path: None, 'does not exist'),
])
def test_path_to_no_file(make, problem, tmp_path):
    make(tmp_path / 'x.pth')
    with pytest.raises(OSError, match=rf"x\.pth' {problem}"):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'x.pth'))


@pytest.mark.parametrize('ending', ['.pth', '.safetensors'])
def test_changed_bytes_are_noticed(ending, tmp_path):
    """Wherever in the weights, or in what tells where they lie."""
    path = tmp_path / f'x{ending}'
    save_weights(WEIGHTS, str(path))
    whole = path.read_bytes()
    verify_file(str(path))
    if ending == '.pth':
        with zipfile.ZipFile(path) as z:
            infos = [i for i in z.infolist() if '/data' in i.filename]
        places = [
            whole.index(b'\x80\x3f', i.header_offset)
            if i.file_size == 12 else i.header_offset + 300 for i in infos
        ]
    else:
        places = range(8, len(whole))
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        try:
            loaded = CheckpointLoader.load_checkpoint(str(path), 'cpu', None)
        except RuntimeError:
            continue
        # a byte of the checksum's own name changes nothing else
        assert place < whole.index(b'a.weight') and ending != '.pth'
        assert loaded.keys() == WEIGHTS.keys()
        assert all(torch.equal(loaded[k], v) for k, v in WEIGHTS.items())
    moved = tmp_path / 'renamed.bin'
    moved.write_bytes(whole)
    loaded = CheckpointLoader.load_checkpoint(str(moved), 'cpu')
    loaded = loaded.get('state_dict', loaded)
    assert torch.equal(loaded['a.weight'], WEIGHTS['a.weight'])


@pytest.mark.parametrize('name, whole', [
    ('x-{}.pth', True),
    ('x-0badc0de.pth', False),
    ('x_20231117-0badc0de.safetensors', False),
    ('x-20231117.pth', True),
    ('x-small.pth', True),
])
def test_hash_in_a_name_is_verified(name, whole, tmp_path):
    import hashlib
    path = tmp_path / name.format(hashlib.sha256(TINY).hexdigest()[:8])
    path.write_bytes(TINY)
    if whole:
        assert verify_file(str(path)) == 'zip'
    else:
        with pytest.raises(RuntimeError, match='0badc0de.* rename it'):
            verify_file(str(path))


def test_weights_without_checksums_are_read(tmp_path):
    """Of PyTorch before 1.6, and where it was told to write none."""
    old, fast = tmp_path / 'old.pth', tmp_path / 'fast.pth'
    old.write_bytes(saved(WEIGHTS, _use_new_zipfile_serialization=False))
    assert verify_file(str(old)) == 'pickle'
    if hasattr(torch.serialization, 'set_crc32_options'):
        torch.serialization.set_crc32_options(False)
        fast.write_bytes(saved(WEIGHTS))
        torch.serialization.set_crc32_options(True)
        assert verify_file(str(fast)) == 'zip'
    for path in tmp_path.iterdir():
        loaded = CheckpointLoader.load_checkpoint(str(path), 'cpu')
        assert torch.equal(loaded['a.weight'], WEIGHTS['a.weight'])
