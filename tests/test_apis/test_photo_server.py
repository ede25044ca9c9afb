"""The server of the local page: what it answers, refuses and outlasts."""
import http.client
import io
import json
import re
import socket
import struct
import threading
import time
import zlib
from base64 import b64decode

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from intr_mm.apis import INTRInferencer, photo_server
from intr_mm.apis.photo_server import ExplanationServer
from ..page import HOSTILE, photo, running_server, save_page_model
from ..tiny import CONFIG, save_model, tiny_cfg, tiny_model

LIMITS = dict(max_bytes=100_000, max_pixels=40_000)
POST = 'POST /explain HTTP/1.1\r\nContent-Type: image/jpeg\r\n'


@pytest.fixture(scope='module')
def page_model(tmp_path_factory):
    return save_page_model(tmp_path_factory.mktemp('weights') / 'tiny.pth')


@pytest.fixture(scope='module')
def server(page_model):
    with running_server(page_model, **LIMITS) as server:
        yield server


def ask(server, method='POST', path='/explain', body=None, **headers):
    """Send a request, return status, headers and answer."""
    connection = http.client.HTTPConnection(
        '127.0.0.1', server.port, timeout=30)
    headers = {key.replace('_', '-'): v for key, v in headers.items()}
    if body is not None:
        headers.setdefault('Content-Type', 'image/jpeg')
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    if response.headers.get_content_type() == 'application/json':
        text = json.loads(text)
    return response.status, response.headers, text


def connect(server, request=''):
    """A connection of which a part of a request was sent."""
    client = socket.create_connection(('127.0.0.1', server.port), timeout=20)
    host = f'Host: 127.0.0.1:{server.port}\r\n'
    if isinstance(request, str):
        request = request.replace('HOST\r\n', host).encode('latin1')
    client.sendall(request)
    return client


def read(client):
    """What is answered until the connection closes."""
    parts = []
    try:
        while parts[-1:] != [b'']:
            parts.append(client.recv(65536))
    except ConnectionError:
        pass
    client.close()
    return b''.join(parts)


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(.01)


def test_explains_a_photo(server):
    status, _, answer = ask(server, body=photo())
    assert status == 200
    assert len(answer['classes']) == 3 and answer['layers'] == [0]
    codes = zlib.decompress(b64decode(answer['maps']))
    assert len(codes) == 3 * np.prod(answer['grid'])
    image = np.asarray(Image.open(io.BytesIO(photo())))[..., ::-1]
    expected, = server.inferencer.explain(image)
    assert answer['all'] == pytest.approx(expected.scores.tolist(), rel=1e-3)
    assert sum(answer['all']) == pytest.approx(1, abs=1e-3)


def test_explains_by_evidence(tmp_path):
    head = dict(type='EvidenceHead', num_classes=3, embed_dims=16, num_heads=2)
    cfg = Config.fromfile(CONFIG)
    cfg.model = tiny_cfg(head=dict(head, _delete_=True))
    model = tiny_model(head=dict(head, _delete_=True))
    inferencer = INTRInferencer(cfg, save_model(model, tmp_path / 'tiny.pth'))
    answer = ExplanationServer(inferencer, port=0).explain(photo(), [])
    assert answer['kind'] == 'evidence' and len(answer['found']) == 3
    assert answer['even']['score'] == pytest.approx(1 / 3, rel=1e-4)


@pytest.mark.parametrize('kind', ['PNG', 'WEBP', 'BMP', 'TIFF'])
def test_reads_formats_by_their_bytes(server, kind):
    """The type that a browser guesses from the name may be wrong."""
    assert ask(server, body=photo(kind))[0] == 200


def test_turns_photos_upright(server):
    exif = Image.Exif()
    exif[274] = 6
    answer = ask(server, body=photo(exif=exif))[2]
    assert (answer['width'], answer['height']) == (44, 60)


def png_of(width, height):
    """Header of a huge picture in a few bytes."""
    data = bytearray(photo('PNG', (4, 4)))
    data[16:24] = width.to_bytes(4, 'big') + height.to_bytes(4, 'big')
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, 'big')
    return bytes(data)


def jpeg_of_scans(number, side):
    """A grey progressive JPEG file that refines one coefficient for ever."""

    def segment(marker, data):
        return struct.pack('>BBH', 255, marker, len(data) + 2) + data

    def entropy_coded(bits):
        bits += '1' * (-len(bits) % 8)
        data = int(bits, 2).to_bytes(len(bits) // 8, 'big')
        return data.replace(b'\xff', b'\xff\0')

    blocks, one_code = (side // 8)**2, bytes([1] + [0] * 15)
    run = '0' + '1' * 14  # an end of block for 32,767 blocks
    return b''.join((
        b'\xff\xd8',
        segment(0xdb, b'\0' + b'\1' * 64),
        segment(0xc2, struct.pack('>BHHBBBB', 8, side, side, 1, 1, 0x11, 0)),
        segment(0xc4, b'\0' + one_code + b'\0'),
        segment(0xc4, b'\x10' + one_code + b'\xe0'),
        segment(0xda, b'\1\1\0\0\0\0') + entropy_coded('0' * blocks),
        (segment(0xda, b'\1\1\0\1\1\0') +
         entropy_coded(run * (blocks // 32767 + 1))) * number,
        b'\xff\xd9'))  # yapf: disable


@pytest.mark.parametrize('status, reason, request_', [
    (413, 'at most 0.1 MB', dict(body=bytes(1_000_000))),
    (415, '300 x 200 pixels', dict(body=photo(size=(300, 200)))),
    (415, 'pixels', dict(body=png_of(60_000, 60_000))),
    (415, 'to 40000', dict(body=png_of(12_000, 12_000))),
    (415, '10 times', dict(body=photo(size=(500, 40)))),
    (415, 'no image', dict(body=b'hello')),
    (415, 'no image', dict(body=b'')),
    (415, 'no image', dict(body=photo('GIF'))),
    (415, 'cannot be read', dict(body=photo()[:-900])),
    (415, 'cannot be read', dict(body=photo('PNG')[:-900])),
    (415, 'in the format', dict(body=photo(), Content_Type='text/plain')),
    (415, 'in the format', dict(body=photo(), Content_Type='')),
    (415, 'in the format', dict(
        body=b'--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x',
        Content_Type='multipart/form-data; boundary=x')),
    (400, '0 to 2', dict(body=photo(), path='/explain?class=3')),
    (400, '0 to 2', dict(body=photo(), path='/explain?class=-1')),
    (400, '0 to 2', dict(body=photo(), path='/explain?class=')),
    (400, '0 to 2', dict(body=photo(), path='/explain?class=1e0')),
    (400, '0 to 2', dict(body=photo(), path='/explain?class=%C2%B2')),
    (400, 'unicode', dict(body=photo(), path='/explain?class=%FF')),
    (400, '0 to 2', dict(body=photo(), path='/explain?class=' + 5000 * '9')),
    (404, 'nothing at /x%41.', dict(body=photo(), path='/x%41')),
    (404, 'nothing at /../', dict(method='GET', path='/../serve.py')),
    (403, '--host', dict(body=photo(), Host='evil.example:8000')),
    (403, '--host', dict(method='GET', path='/', Host='127.0.0.1.evil.net')),
    (403, 'other pages', dict(body=photo(), Origin='http://evil.example')),
    (403, 'other pages', dict(body=photo(), Origin='null')),
    (405, 'Not Allowed', dict(method='PUT', body=photo())),
    (405, 'Not Allowed', dict(method='OPTIONS', path='*')),
    (405, 'Not Allowed', dict(method='BREW', path='/')),
])  # yapf: disable
def test_refusals_are_one_sentence(server, status, reason, request_):
    found, headers, answer = ask(server, **request_)
    assert found == status
    assert reason in answer['error'] and '\n' not in answer['error']
    assert "default-src 'none'" in headers['Content-Security-Policy']


@pytest.mark.parametrize('status, request_', [
    (400, 'GET / HTTP/1.1\r\n\r\n'),
    (400, 'GET / HTTP/1.1\r\nHOST\r\nHOST\r\n\r\n'),
    (400, 'GET / HTTP/1.1\r\nHost: evil.example\r\nHOST\r\n\r\n'),
    (400, 'GET / HTTP/1.1\r\nHost: 127.0.0.1, 127.0.0.1\r\n\r\n'),
    (403, 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n'),
    (404, 'GET http://evil.example/ HTTP/1.1\r\nHOST\r\n\r\n'),
    (400, 'GET / HTTP/1.1\r\nHost: \xff\r\n\r\n'),
    (403, 'GET / HTTP/1.0\r\n\r\n'),
    (403, 'GET / HTTP/1.1\r\nHost: 999.0.0.1\r\n\r\n'),
    (400, POST + 'HOST\r\nContent-Length: -1\r\n\r\n'),
    (400, POST + 'HOST\r\nContent-Length: 1e3\r\n\r\n'),
    (400, POST + 'HOST\r\nContent-Length: +5\r\n\r\nhello'),
    (400, POST + 'HOST\r\nContent-Length: \xb2\r\n\r\nhello'),
    (400, POST + f'HOST\r\nContent-Length: {9**99}\r\n\r\n'),
    (400, POST + f'HOST\r\nContent-Length: {5000 * "9"}\r\n\r\n'),
    (400, POST + 'HOST\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n'),
    (415, POST + 'HOST\r\n\r\n'),
    (415, POST + 'HOST\r\nTransfer-Encoding: chunked\r\n\r\n'
     '5\r\nhello\r\n0\r\n\r\n'),
    (400, POST + 'HOST\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello'),
    (400, POST + 'HOST\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello'),
    (400, POST + 'HOST\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n'),
    (400, POST + 'HOST\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'),
    (400, POST + 'HOST\r\nTransfer-Encoding: chunked\r\n'
     'Content-Length: 5\r\n\r\nhello'),
    (413, POST + 'HOST\r\nContent-Length: 200000\r\n\r\n' + 200_000 * 'x'),
    (405, 'CONNECT / HTTP/1.1\r\nHOST\r\n\r\n'),
    (404, 'GET /\xff HTTP/1.1\r\nHOST\r\n\r\n'),
    (404, 'GET /\xc3\xa4?\xff=\xff HTTP/1.1\r\nHOST\r\n\r\n'),
    (200, 'GET / HTTP/1.1\r\nHOST\r\nX: \xff\r\n\r\n'),
    (200, 2 * 'GET / HTTP/1.1\r\nHOST\r\n\r\n'),
    (400, 'GET / HTTP/1.1\r\nHOST\r\nno colon\r\n\r\n'),
    (400, 'GET / HTTP/1.1\r\nHOST\r\nX : y\r\n\r\n'),
    (400, 'GET / HTTP/1.1\r\nHOST\r\nX: \0\r\n\r\n'),
    (400, 'GET / HTTP/9.9\r\nHOST\r\n\r\n'),
    (400, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    (400, 'GET /\r\n\r\n'),
    (400, '\r\n\r\n\r\n\r\n'),
    # of which nothing has to be answered
    (None, f'GET / HTTP/1.1\r\nHOST\r\nX: {100_000 * "x"}\r\n\r\n'),
    (None, f'GET /{100_000 * "x"} HTTP/1.1\r\nHOST\r\n\r\n'),
    (None, '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n'),
])  # yapf: disable
def test_what_is_not_http(server, status, request_, capfd, caplog):
    client = connect(server, request_)
    answer = read(client)
    if status is not None:
        assert re.match(rb'HTTP/1.1 (\d+)', answer)[1] == b'%d' % status
    assert answer.count(b'HTTP/1.1') <= 1
    assert ask(server, 'GET', '/')[0] == 200
    assert capfd.readouterr() == ('', '')
    assert 'Traceback' not in caplog.text


@pytest.mark.parametrize('name', ['localhost', 'LOCALHOST', '127.0.0.1',
                                  '[::1]'])  # yapf: disable
def test_good_names(server, name):
    assert ask(server, 'GET', '/', Host=f'{name}:{server.port}')[0] == 200


def test_a_failing_model_does_not_end_the_server(server, monkeypatch, capfd):
    with monkeypatch.context() as patch:
        patch.setattr(server.inferencer, 'explain', None)
        status, _, answer = ask(server, body=photo())
        assert status == 500 and 'model failed' in answer['error']
    error = capfd.readouterr().err
    assert 'TypeError' in error and error.count('\n') == 1
    assert ask(server, body=photo())[0] == 200


def test_page_is_strict(server):
    status, headers, page = ask(server, 'GET', '/')
    assert status == 200 and HOSTILE not in page
    policy = headers['Content-Security-Policy']
    assert "script-src 'self'" in policy and 'unsafe' not in policy
    assert headers['X-Content-Type-Options'] == 'nosniff'
    for path in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert ask(server, 'GET', f'/{path}')[0] == 200


def test_many_silent_connections_take_no_place(server):
    silent = [connect(server, 'GET / HT' * (i % 2)) for i in range(400)]
    start = time.monotonic()
    assert ask(server, 'GET', '/')[0] == 200
    assert ask(server, body=photo())[0] == 200
    assert time.monotonic() - start < 5
    held = sum(not stream.closed() for stream in server.streams)
    assert held <= photo_server.MAX_CONNECTIONS
    for client in silent:
        client.close()


@pytest.mark.parametrize('start', [
    '', 'GET / HTTP/1.1\r\n', POST + 'HOST\r\nContent-Length: 90000\r\n\r\n',
    POST + 'HOST\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n9999\r\n'
])
def test_deadline_for_requests_that_drip(page_model, monkeypatch, start):
    monkeypatch.setattr(photo_server, 'HEAD_SECONDS', .5)
    monkeypatch.setattr(photo_server, 'BODY_SECONDS', .5)
    with running_server(page_model, **LIMITS) as server:
        began = time.monotonic()
        client = connect(server, start)
        with pytest.raises(ConnectionError):
            while time.monotonic() < began + 10:
                client.sendall(b'x')
                time.sleep(.05)
        wait_for(lambda: server.num_held == 0)


def test_deadline_for_taking_the_answer(page_model, monkeypatch):
    monkeypatch.setattr(photo_server, 'ANSWER_SECONDS', .5)
    with running_server(page_model, **LIMITS) as server:
        server.files['/'] = ('text/html', 50_000_000 * 'x')
        client = connect(server, 'GET / HTTP/1.1\r\nHOST\r\n\r\n')
        wait_for(lambda: server.streams and server.streams[0].closed())
        assert len(read(client)) < 50_000_000


@pytest.fixture
def slow_model(server, monkeypatch):
    """A model that is at work until it is told to go on."""
    go_on, at_work = threading.Event(), []

    def explain(data, classes):
        at_work.append(data)
        assert go_on.wait(20)
        return {}

    monkeypatch.setattr(server, 'explain', explain)
    yield go_on, at_work
    go_on.set()
    wait_for(lambda: not server.waiting)


def send_photos(server, number):
    data = photo()
    head = POST + f'HOST\r\nContent-Length: {len(data)}\r\n\r\n'
    return [
        connect(server, head + data.decode('latin1')) for _ in range(number)
    ]


def test_one_photo_at_a_time_and_none_of_who_left(server, slow_model):
    go_on, at_work = slow_model
    clients = send_photos(server, 1)
    wait_for(lambda: at_work)
    clients += send_photos(server, 3)
    wait_for(lambda: len(server.waiting) == 4)
    time.sleep(.1)
    assert len(at_work) == 1
    assert ask(server, 'GET', '/')[0] == 200
    for client in clients[1:3]:
        client.close()
    wait_for(lambda: server.num_held == 2 * len(photo()))
    go_on.set()
    for client in (clients[0], clients[3]):
        assert b'HTTP/1.1 200' in read(client)
    wait_for(lambda: not server.waiting)
    assert len(at_work) == 2 and server.num_held == 0


def test_photos_that_wait_are_few(server, slow_model, monkeypatch):
    monkeypatch.setattr(photo_server, 'MAX_WAITING', 3)
    clients = send_photos(server, 3)
    wait_for(lambda: len(server.waiting) == 3)
    status, _, answer = ask(server, body=photo())
    assert status == 503 and 'try again' in answer['error']
    slow_model[0].set()
    for client in clients:
        assert b'HTTP/1.1 200' in read(client)


def test_bytes_that_are_held_are_few(server, monkeypatch):
    monkeypatch.setattr(photo_server, 'MAX_HELD', 2)
    begun = [
        connect(server,
                POST + 'HOST\r\nContent-Length: 90000\r\n\r\n' + 80_000 * 'x')
        for _ in range(10)
    ]
    wait_for(lambda: server.num_held == 160_000)
    assert ask(server, body=bytes(50_000))[0] == 503
    for client in begun:
        client.close()
    wait_for(lambda: server.num_held == 0)
    assert ask(server, body=photo())[0] == 200


@pytest.mark.parametrize('number, side, behind, status', [
    (20, 80, b'', 200),
    (20, 80, b'\xff\xda' * 200, 200),
    (100_000, 6000, b'', 415),
])
def test_scans_of_a_jpeg_are_few(page_model, number, side, behind, status):
    with running_server(page_model) as server:
        data = jpeg_of_scans(number, side) + behind
        start = time.process_time()
        found, _, answer = ask(server, body=data)
        assert time.process_time() - start < 2
        assert found == status
        assert found == 200 or 'scans' in answer['error']
