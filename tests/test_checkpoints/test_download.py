"""Downloads over connections that break, hang and lie."""
import hashlib
import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from mmengine.runner import CheckpointLoader

from intr_mm.checkpoints import download

with io.BytesIO() as _f:
    torch.save({'a.weight': torch.arange(50000.)}, _f)
    BODY = _f.getvalue()
HALF = len(BODY) // 2


class Server(ThreadingHTTPServer):
    """Serves ``BODY``, first in the way of ``faults``, one a request."""

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.faults, self.ranges, self.hold = [], [], threading.Event()
        self.etag = '"1"'
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, name):
        return f'http://127.0.0.1:{self.server_port}/{name}'


class Handler(BaseHTTPRequestHandler):

    def do_GET(self):
        server, body = self.server, BODY
        fault = server.faults.pop(0) if server.faults else ''
        begin = self.headers.get('Range')
        server.ranges.append(begin)
        fresh = self.headers.get('If-Range') in (None, server.etag)
        if fault == 'missing':
            return self.send_error(404)
        if fault == 'page':
            body = b'<html>Please sign in</html>'
        elif fault == 'flip':
            body = bytearray(BODY)
            body[HALF] ^= 1
        start = 0
        if begin and fresh and fault != 'no ranges':
            start = int(begin[6:-1])
            if start >= len(body):
                return self.send_error(416)
            self.send_response(206)
            self.send_header('Content-Range',
                             f'bytes {start}-{len(body) - 1}/{len(body)}')
        else:
            self.send_response(200)
        if server.etag:
            self.send_header('ETag', server.etag)
        if fault != 'no length':
            self.send_header('Content-Length', str(len(body) - start))
        self.end_headers()
        if fault in ('breaks', 'hangs'):
            self.wfile.write(body[start:HALF])
            self.wfile.flush()
            if fault == 'hangs':
                server.hold.wait(20)
            return
        self.wfile.write(body[start:])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(download, 'TIMEOUT', 1.5)
    server = Server()
    yield server
    server.hold.set()
    server.shutdown()
    server.server_close()


def cached(tmp_path):
    return sorted(
        path.name for path in tmp_path.rglob('*')
        if path.is_file() and path.suffix != '.lock')


def load(url):
    return CheckpointLoader.load_checkpoint(url, 'cpu')['a.weight'].sum()


@pytest.mark.parametrize('faults, etag, ranges', [
    ([], '"1"', [None]),
    (['no length'], '"1"', [None]),
    (['breaks'], '"1"', [None, HALF]),
    (['hangs'], '"1"', [None, HALF]),
    (['breaks'], None, [None, HALF]),
    (['breaks', 'no ranges'], '"1"', [None, HALF]),
])
def test_broken_download_is_taken_up(server, tmp_path, faults, etag, ranges):
    server.faults, server.etag = faults, etag
    assert load(server.url('x.pth')) == torch.arange(50000.).sum()
    assert server.ranges == [r and f'bytes={r}-' for r in ranges]
    assert cached(tmp_path) == ['x.pth']
    load(server.url('x.pth'))  # of the cache
    assert len(server.ranges) == len(ranges)


def test_interrupted_download_goes_on_in_the_next_run(server, tmp_path):
    """Where the file is the same, and from the start where it is not."""
    server.faults = ['breaks', 'breaks']
    with pytest.raises(RuntimeError, match='fetched .*bytes came.*try again'):
        load(server.url('x.pth'))
    assert len(cached(tmp_path)) == 1
    assert load(server.url('x.pth')) > 0
    assert server.ranges[2:] == [None, f'bytes={HALF}-']

    server.faults = ['breaks', 'breaks']
    with pytest.raises(RuntimeError, match='try again'):
        load(server.url('y.pth'))
    server.etag, server.ranges = '"2"', []
    assert load(server.url('y.pth')) > 0
    assert server.ranges == [None]
    assert cached(tmp_path) == ['x.pth', 'y.pth']


@pytest.mark.parametrize('fault, name, problem', [
    ('missing', 'x.pth', '404 Not Found'),
    ('page', 'x.pth', 'is a web page'),
    ('flip', 'x.pth', 'damaged'),
    ('', 'x-0badc0de.pth', '0badc0de'),
])
def test_bad_body_does_not_stay_in_the_cache(server, tmp_path, fault, name,
                                             problem):
    server.faults = [fault]
    url = server.url(name)
    with pytest.raises(RuntimeError, match=problem) as error:
        load(url)
    assert url in str(error.value) and '\n' not in str(error.value)
    assert cached(tmp_path) == []


def test_hash_in_the_name_of_a_download(server):
    name = f'x-{hashlib.sha256(BODY).hexdigest()[:8]}.pth'
    assert load(server.url(name)) > 0


def test_links_in_the_cache_are_not_followed(server, tmp_path):
    """Nobody decides by one which file is written."""
    server.faults = ['breaks', 'breaks']
    with pytest.raises(RuntimeError):
        load(server.url('x.pth'))
    part, = tmp_path.rglob('*.part')
    mine = tmp_path / 'mine'
    mine.write_bytes(BODY[:9])
    part.unlink()
    part.symlink_to(mine)
    with pytest.raises(RuntimeError, match='fetched'):
        load(server.url('x.pth'))
    assert mine.read_bytes() == BODY[:9]
