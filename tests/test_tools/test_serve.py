"""The local page of a model, over HTTP and in a browser."""
import http.client
import io
import json
import re
import signal
import subprocess
import sys
import threading
import zlib
from base64 import b64decode

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from intr_mm.apis import INTRInferencer
from intr_mm.apis.photo_server import ExplanationServer
from ..browser import console_errors, needs_browser, open_browser
from ..tiny import CONFIG, ROOT, save_model, tiny_cfg, tiny_model

HOSTILE = '</script><img src=x onerror="window.hacked=1">'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Random weights of the tiny model, with names of classes."""
    path = tmp_path_factory.mktemp('weights') / 'tiny.pth'
    return save_model(tiny_model(), path, ['a_wren', HOSTILE, 'c_tit'])


@pytest.fixture(scope='module')
def server(checkpoint):
    inferencer = INTRInferencer(CONFIG, checkpoint, device='cpu')
    server = ExplanationServer(
        inferencer, port=0, max_bytes=100_000, max_pixels=40_000)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def photo(kind='JPEG', size=(60, 44), **options):
    image = np.random.default_rng(0).integers(0, 256, size[::-1] + (3, ))
    file = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def ask(server):
    """Sends a request, returns status, headers and answer."""

    def send(method='POST', path='/explain', body=None, **headers):
        connection = http.client.HTTPConnection(
            *server.server_address, timeout=30)
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

    return send


def test_explains_a_photo(ask, server):
    status, _, answer = ask(body=photo())
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
    with ExplanationServer(inferencer, port=0) as server:
        answer = server.explain(photo(), [])
    assert answer['kind'] == 'evidence' and len(answer['found']) == 3
    assert answer['even']['score'] == pytest.approx(1 / 3, rel=1e-4)


@pytest.mark.parametrize('kind', ['PNG', 'WEBP', 'BMP'])
def test_reads_formats_by_their_bytes(ask, kind):
    """The type that a browser guesses from the name may be wrong."""
    assert ask(body=photo(kind))[0] == 200


def test_turns_photos_upright(ask):
    exif = Image.Exif()
    exif[274] = 6
    answer = ask(body=photo(exif=exif))[2]
    assert (answer['width'], answer['height']) == (44, 60)


def png_of(width, height):
    """Header of a huge picture in a few bytes."""
    data = bytearray(photo('PNG', (4, 4)))
    data[16:24] = width.to_bytes(4, 'big') + height.to_bytes(4, 'big')
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, 'big')
    return bytes(data)


@pytest.mark.parametrize('status, reason, request_', [
    (413, 'at most 0.1 MB', dict(body=bytes(1_000_000))),
    (413, '300 x 200 pixels', dict(body=photo(size=(300, 200)))),
    (413, 'at most 40000', dict(body=png_of(60_000, 60_000))),
    (413, 'at most 40000', dict(body=png_of(12_000, 12_000))),
    (415, '10 times', dict(body=png_of(20_000, 1))),
    (415, 'is no photo', dict(body=b'hello')),
    (415, 'is no photo', dict(body=photo('GIF'))),
    (415, 'is no photo', dict(body=photo('TIFF'))),
    (415, 'damaged', dict(body=photo()[:-900])),
    (415, 'damaged', dict(body=photo('PNG')[:-900])),
    (415, 'in the format', dict(body=photo(), Content_Type='text/plain')),
    (411, 'Content-Length', dict(Content_Type='image/jpeg',
                                 Content_Length='-1')),
    (400, '0 to 2', dict(body=photo(), path='/explain?class=3')),
    (400, '0 to 2', dict(body=photo(), path='/explain?class=-1')),
    (404, 'nothing at /x', dict(body=photo(), path='/x')),
    (404, 'nothing at /../', dict(method='GET', path='/../serve.py')),
    (403, '--host', dict(body=photo(), Host='evil.example:8000')),
    (403, '--host', dict(method='GET', path='/', Host='127.0.0.1.evil.net')),
    (403, 'other pages', dict(body=photo(), Origin='http://evil.example')),
    (501, 'Unsupported method', dict(method='PUT', body=photo())),
])  # yapf: disable
def test_refusals_are_one_sentence(ask, status, reason, request_):
    found, headers, answer = ask(**request_)
    assert found == status
    assert reason in answer['error'] and '\n' not in answer['error']
    assert "default-src 'none'" in headers['Content-Security-Policy']


def test_localhost_is_a_good_name(ask, server):
    port = server.server_address[1]
    for host in (f'localhost:{port}', f'127.0.0.1:{port}', f'[::1]:{port}'):
        assert ask('GET', '/', Host=host)[0] == 200


def test_a_failing_model_does_not_end_the_server(ask, server, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(server.inferencer, 'explain', None)
        status, _, answer = ask(body=photo())
        assert status == 500 and 'model failed' in answer['error']
    assert ask(body=photo())[0] == 200


def test_page_is_strict(ask):
    status, headers, page = ask('GET', '/')
    assert status == 200 and HOSTILE not in page
    policy = headers['Content-Security-Policy']
    assert "script-src 'self'" in policy and 'unsafe' not in policy
    assert headers['X-Content-Type-Options'] == 'nosniff'
    for path in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert ask('GET', f'/{path}')[0] == 200


@needs_browser
def test_page_in_a_browser(server, tmp_path):
    ui = pytest.importorskip('selenium.webdriver.support.ui')
    for name, data in (('bird.jpg', photo()), ('note.jpg', b'hello'),
                       ('large.jpg', bytes(300_000))):
        (tmp_path / name).write_bytes(data)

    with open_browser() as driver:

        def find(selector):
            return driver.find_elements('css selector', selector)

        def wait(condition):
            ui.WebDriverWait(driver, 20, .02).until(lambda _: condition())

        def picture():
            return driver.execute_script(
                "return document.querySelector('.panels canvas').toDataURL()")

        def choose(name, value):
            ui.Select(find(f'#{name}')[0]).select_by_value(value)

        driver.get(server.url)
        find('#file')[0].send_keys(str(tmp_path / 'bird.jpg'))
        wait(lambda: find('.panels canvas'))
        assert len(find('.class')) == 3 and len(find('.heads button')) == 3
        assert HOSTILE in ' '.join(label.text for label in find('.class'))
        wait(lambda: driver.execute_script(
            "return document.querySelector('.panels img').naturalWidth") == 60)
        pictures = [picture()]
        find('.class input')[1].click()
        pictures.append(picture())
        find('.heads button')[1].click()
        pictures.append(picture())
        assert len(set(pictures)) == 3
        choose('versus', find('.class input')[0].get_attribute('value'))
        assert len(find('.panels canvas')) == 3
        assert console_errors(driver) == []
        assert driver.execute_script('return window.hacked') is None

        find('#file')[0].send_keys(str(tmp_path / 'note.jpg'))
        wait(lambda: find('[role=alert]'))
        assert 'is no photo' in find('[role=alert]')[0].text
        assert not find('.panels')
        find('#file')[0].send_keys(str(tmp_path / 'large.jpg'))
        wait(lambda: 'at most 0.1 MB' in find('#status')[0].text)


@needs_browser
def test_another_class_in_a_browser(checkpoint, server, tmp_path, monkeypatch):
    ui = pytest.importorskip('selenium.webdriver.support.ui')
    explain = server.inferencer.explain
    # of three classes, the best five leave none to ask for
    monkeypatch.setattr(
        server.inferencer, 'explain', lambda image, classes, layers: explain(
            image, classes=['top1', *classes[1:]], layers=layers))
    (tmp_path / 'bird.png').write_bytes(photo('PNG'))
    with open_browser(500, 800) as driver:

        def find(selector):
            return driver.find_elements('css selector', selector)

        driver.get(server.url)
        find('#file')[0].send_keys(str(tmp_path / 'bird.png'))
        wait = ui.WebDriverWait(driver, 20, .02)
        wait.until(lambda _: len(find('.class')) == 1)
        other = find('#other option')[1].get_attribute('value')
        ui.Select(find('#other')[0]).select_by_value(other)
        wait.until(lambda _: len(find('.class')) == 2)
        chosen, = (
            radio for radio in find('.class input') if radio.is_selected())
        assert chosen.get_attribute('value') == other
        assert console_errors(driver) == []


@pytest.mark.slow
def test_command_line(checkpoint):
    process = subprocess.Popen(
        [sys.executable, ROOT / 'tools/serve.py', CONFIG, checkpoint] +
        ['--port', '0', '--device', 'cpu'] +
        ['--cfg-options', 'model.head.num_heads=1'],
        stdout=subprocess.PIPE,
        text=True)
    try:
        line = next(line for line in process.stdout if line.startswith('Open'))
        connection = http.client.HTTPConnection(
            '127.0.0.1', int(re.search(r':(\d+),', line)[1]), timeout=30)
        connection.request('POST', '/explain', photo(),
                           {'Content-Type': 'image/jpeg'})
        assert json.load(connection.getresponse())['grid'][0] == 1
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize('host, warns', [('127.0.0.1', False),
                                         ('0.0.0.0', True)])
def test_warns_of_other_hosts(checkpoint, run_tool, monkeypatch, capsys, host,
                              warns):
    monkeypatch.setattr(ExplanationServer, 'serve_forever',
                        lambda _: signal.raise_signal(signal.SIGINT))
    run_tool('serve.py', CONFIG, checkpoint, '--host', host, '--port', 0)
    output = capsys.readouterr().out
    assert ('Warning:' in output) == warns and f'http://{host}:' in output


def test_pixels_that_cannot_be_decoded_safely(checkpoint, run_tool, capsys):
    with pytest.raises(SystemExit):
        run_tool('serve.py', CONFIG, checkpoint, '--max-pixels', 1_000_000_000)
    assert '--max-pixels has to be' in capsys.readouterr().err
