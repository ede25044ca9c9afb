"""Fetch checkpoints into PyTorch's cache, whole or not at all."""
import hashlib
import os
import os.path as osp
import re
import secrets
from glob import escape, glob
from http.client import HTTPException, HTTPResponse
from urllib.error import HTTPError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

import torch
from mmengine.utils import mkdir_or_exist
from torch.hub import tqdm

from .integrity import DamagedCheckpointError, verify_file
from .work_dir import locked

TIMEOUT = 30  # seconds without a byte


def cache_path(url: str) -> str:
    """Where PyTorch keeps a URL: by its name if that holds a hash, else by
    the whole address, as on sites where all files are 'model.safetensors'."""
    parts = urlparse(url)
    name = osp.basename(parts.path)
    if not re.search(r'-[0-9a-f]{8,}\.', name):
        path = osp.normpath(parts.path).lstrip('/')
        name = osp.join(parts.netloc.replace(':', '_'), path)
    return osp.join(torch.hub.get_dir(), 'checkpoints', name)


def fetch(url: str, path: str) -> None:
    """Download a checkpoint.

    Where the connection breaks or is silent, it is taken up again as long as
    that brings more. What an earlier call got is used where the server tells
    that the file is the same.

    Args:
        url: Address.
        path: File to write, once it is whole.

    Raises:
        RuntimeError: It cannot be fetched or written, or is no whole
            checkpoint.
    """
    mkdir_or_exist(osp.dirname(path))
    with locked(f'{path}.lock'):
        if osp.exists(path):  # another process was faster
            return
        part = _Download(url, path).run()
        try:
            verify_file(part, url)
        except DamagedCheckpointError:
            os.unlink(part)
            raise
        os.replace(part, path)
        for part in glob(f'{escape(path)}.*.part'):  # of other versions
            os.unlink(part)


class _Download:
    """One download, over as many connections as it takes."""

    def __init__(self, url: str, path: str) -> None:
        self.url, self.path = url, path
        self.part = None  # what came so far
        self.version = None  # of the file on the server, where it tells
        self.size = None

    def run(self) -> str:
        before, problem = -1, ''
        while self._length() > before:
            before = self._length()
            try:
                self._connect()
            except HTTPError as error:
                problem = f'{error.code} {error.reason}'
                if error.code == 416 and before:  # nothing is left to come
                    os.unlink(self.part)
                    before = -1
            except (OSError, HTTPException) as error:
                problem = str(getattr(error, 'reason', error)) or repr(error)
            else:
                if self.size in (None, self._length()):
                    return self.part
                problem = f'{self._length()} of {self.size} bytes came'
        if self.part is not None and (not self.version or not self._length()):
            self._remove()
        raise RuntimeError(
            f"Checkpoint '{self.url}' cannot be fetched ({problem}): check "
            'the address and the network and try again, or put the file at '
            f"'{self.path}'.")

    def _length(self) -> int:
        if self.part is None or not osp.exists(self.part):
            return 0
        return osp.getsize(self.part)

    def _remove(self) -> None:
        if osp.exists(self.part):
            os.unlink(self.part)

    def _connect(self) -> None:
        have = self._length()
        headers = {'User-Agent': 'intr_mm', 'Accept-Encoding': 'identity'}
        if have:
            headers['Range'] = f'bytes={have}-'
            if self.version:
                headers['If-Range'] = self.version
        request = Request(self.url, headers=headers)
        with urlopen(request, timeout=TIMEOUT) as response:
            if self.part is None:
                self._name_part(response)
            if have or not self._length():
                self._write(response, have)
                return
        self._connect()  # the rest of what an earlier call got

    def _name_part(self, response: HTTPResponse) -> None:
        headers = response.headers
        self.version = headers.get('ETag') or headers.get('Last-Modified')
        key = f'{self.url} {self.version}'.encode()
        name = hashlib.sha256(key).hexdigest()[:16]
        self.part = (f'{self.path}.{name if self.version else ""}'
                     f'{"" if self.version else secrets.token_hex(8)}.part')

    def _write(self, response: HTTPResponse, have: int) -> None:
        found = response.headers.get('Content-Range', '')
        if response.status != 206:
            have = 0
        elif not found.startswith(f'bytes {have}-'):
            raise HTTPException(f'the server sent {found or "another range"}')
        length = response.headers.get('Content-Length')
        self.size = None if length is None else have + int(length)
        with self._open('ab' if have else 'wb') as f, tqdm(
                total=self.size,
                initial=have,
                unit='B',
                unit_scale=True,
                disable=None) as bar:
            # read1, as read loses what came before a timeout
            while block := response.read1(2**18):
                try:
                    f.write(block)
                    f.flush()
                except OSError as error:
                    self._remove()
                    raise RuntimeError(
                        f"'{self.path}' cannot be written "
                        f'({error.strerror or error}): make room there, or '
                        'set TORCH_HOME to another '
                        'folder.') from None
                bar.update(len(block))

    def _open(self, mode: str):
        """Open the part, but never what a link put in its place names."""
        no_link = getattr(os, 'O_NOFOLLOW', 0)
        return open(
            self.part,
            mode,
            opener=lambda path, flags: os.open(path, flags | no_link, 0o666))
