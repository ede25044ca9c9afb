"""Whether a checkpoint file is whole, before anything in it is read.

PyTorch writes the CRC-32 of every record of a file and never looks at it
again, so a changed byte goes unnoticed. Here it is looked at, which takes a
second for each gigabyte. In files of safetensors, which have no such thing,
:func:`intr_mm.checkpoints.save_weights` writes a SHA-256.
"""
import hashlib
import json
import os
import re
import tarfile
import zipfile
from collections.abc import Iterable

# Of a download, as in detr-r50-e632da11.pth. Eight digits may be a date.
_NAME_HASH = re.compile(r'-(?!(?:19|20)\d{6}\.)([0-9a-f]{8,64})\.'
                        r'(?:pth|pt|bin|ckpt|safetensors|pth\.tar)$')
_MAX_HEADER = 100_000_000  # bytes, as in safetensors itself
_NOT_CHECKPOINTS = (
    (b'version https://git-lfs', 'is a pointer of Git LFS: run `git lfs pull` '
     'where it comes from'),
    (b'\x89HDF', 'is a file of HDF5, as Keras writes, and none of PyTorch or '
     'safetensors: give another'),
)


class DamagedCheckpointError(RuntimeError):
    """A file that is no whole checkpoint."""


def verify_file(filename: str, name: str | None = None) -> str:
    """Check that a file is what was written, and what it claims to be.

    Args:
        filename: Path.
        name: What messages call it, and where it may carry a hash, such as the
            URL it comes from. None is the path.

    Returns:
        ``'zip'`` or ``'pickle'`` for the two formats of PyTorch, or
        ``'safetensors'``.

    Raises:
        DamagedCheckpointError: It is of another kind, cut short, changed, or
            would take more memory than the file is long.
    """
    name = filename if name is None else name
    try:
        kind = _kind(filename)
        _check_name_hash(filename, name)
        if kind == 'zip':
            _check_zip(filename)
        elif kind == 'safetensors':
            _check_safetensors(filename)
    except DamagedCheckpointError as error:
        raise DamagedCheckpointError(f"Checkpoint '{name}' {error}.") from None
    return kind


def file_digest(filename: str) -> str:
    """SHA-256 of a file, a megabyte in memory at a time."""
    digest = hashlib.sha256()
    with open(filename, 'rb') as f:
        while block := f.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def tensors_digest(content: bytes) -> str:
    """SHA-256 of names, types, shapes and values in safetensors."""
    start = 8 + int.from_bytes(content[:8], 'little')
    return _digest(json.loads(content[8:start]), [memoryview(content)[start:]])


def _kind(filename: str) -> str:
    """The format of a file, by how it begins."""
    with open(filename, 'rb') as f:
        start = f.read(512)
    if not start:
        raise DamagedCheckpointError('is empty: fetch or write it again')
    if not start.strip(b'\0'):
        raise DamagedCheckpointError(
            'begins with zeros, as what was never written: fetch or write it '
            'again')
    if start.startswith(b'PK\x03\x04'):
        return 'zip'
    if start[8:9] == b'{':
        return 'safetensors'
    if re.match(rb'\x80[\x02-\x05]', start):
        return 'pickle'
    if start.lstrip().startswith(b'<'):
        raise DamagedCheckpointError(
            'is a web page and no checkpoint: open the address in a browser '
            'to see what it says, and fetch the file itself')
    for beginning, problem in _NOT_CHECKPOINTS:
        if start.startswith(beginning):
            raise DamagedCheckpointError(problem)
    if tarfile.is_tarfile(filename):
        raise DamagedCheckpointError(
            'is a tar archive, which PyTorch wrote before version 0.1.10 and '
            'does not read safely: save its weights again where you trust it')
    raise DamagedCheckpointError(
        f'begins with {start[:8]!r}, as no file of PyTorch or safetensors '
        'does: fetch or write it again')


def _check_name_hash(filename: str, name: str) -> None:
    match = _NAME_HASH.search(name.split('?')[0])
    if match is None:
        return
    digest = file_digest(filename)
    if not digest.startswith(match[1]):
        raise DamagedCheckpointError(
            f'does not have the SHA-256 {match[1]}... that its name tells but '
            f'{digest[:len(match[1])]}...: fetch it again, or '
            'rename it if you know that it is whole')


def _check_zip(filename: str) -> None:
    try:
        with zipfile.ZipFile(filename) as archive:
            records = archive.infolist()
            _check_records(records, os.path.getsize(filename))
            for record in records:
                # 0 is what PyTorch writes where it was told to compute none
                if record.CRC:
                    _read_through(archive, record)
    except DamagedCheckpointError:
        raise
    except Exception as error:  # whatever damage makes of zipfile
        reason = str(error).split('\n')[0] or type(error).__name__
        raise DamagedCheckpointError(
            f'is cut short or damaged ({reason}): fetch or write it '
            'again') from None


def _check_records(records: list[zipfile.ZipInfo], size: int) -> None:
    names = [record.filename.split('/')[-1] for record in records]
    if 'constants.pkl' in names:
        raise DamagedCheckpointError(
            'is a program of TorchScript and not weights: save its '
            '`state_dict()`')
    if 'data.pkl' not in names:
        raise DamagedCheckpointError(
            'is a zip archive and no file of PyTorch: unpack it, and give the '
            'checkpoint in it')
    # PyTorch stores records as they are, and each once
    packed = any(record.compress_type != zipfile.ZIP_STORED
                 for record in records)
    if packed or sum(record.file_size for record in records) > size:
        raise DamagedCheckpointError(
            'is a compressed archive, of a size in memory that nothing '
            'bounds, and PyTorch writes none: save it again by `torch.save` '
            'where you trust it')


def _read_through(archive: zipfile.ZipFile, record: zipfile.ZipInfo) -> None:
    """Read a record, which makes zipfile compare its CRC-32."""
    with archive.open(record) as f:
        while f.read(2**20):
            pass


def _check_safetensors(filename: str) -> None:
    with open(filename, 'rb') as f:
        size = f.read(8)
        if int.from_bytes(size, 'little') > _MAX_HEADER:
            raise DamagedCheckpointError(
                'looks like safetensors, but its header would be longer than '
                'any is: fetch or write it again')
        header = f.read(int.from_bytes(size, 'little'))
        if b'"sha256"' not in header:
            return  # not written by save_weights
        try:
            entries = json.loads(header)
            told = entries['__metadata__']['sha256']
        except (ValueError, KeyError, TypeError):
            return  # safetensors will say what is wrong
        found = _digest(entries, iter(lambda: f.read(2**20), b''))
    if told != found:
        raise DamagedCheckpointError(
            'is damaged, as its weights do not have the SHA-256 that was '
            'written with them: fetch or write it again')


def _digest(entries: dict, blocks: Iterable[bytes]) -> str:
    entries = {k: v for k, v in entries.items() if k != '__metadata__'}
    digest = hashlib.sha256(json.dumps(entries, sort_keys=True).encode())
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()
