"""The tool that serves the local page, and the page in a browser."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from intr_mm.apis.photo_server import ExplanationServer
from ..browser import console_errors, needs_browser, open_browser
from ..page import HOSTILE, photo, running_server, save_page_model
from ..tiny import CONFIG, ROOT


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return save_page_model(tmp_path_factory.mktemp('weights') / 'tiny.pth')


@pytest.fixture(scope='module')
def server(checkpoint):
    with running_server(
            checkpoint, max_bytes=100_000, max_pixels=40_000) as server:
        yield server


@needs_browser
def test_page_in_a_browser(server, tmp_path):
    ui = pytest.importorskip('selenium.webdriver.support.ui')
    for name, data in (('bird.jpg', photo()), ('note.jpg', b'hello'),
                       ('large.tif', photo('TIFF', size=(300, 200)))):
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
        assert 'note.jpg: ' in find('[role=alert]')[0].text
        assert 'holds no image' in find('[role=alert]')[0].text
        # which browsers cannot read, and so not reduce
        find('#file')[0].send_keys(str(tmp_path / 'large.tif'))
        wait(lambda: find('#status')[0].text ==
             'large.tif: The photo has 0.2 MB, choose one of at most 0.1 MB, '
             'or start the server with a larger --max-mb.')


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


PASTE = """
const data = new DataTransfer();
data.items.add(new File([Uint8Array.from(arguments[0])], 'pasted.png',
                        {type: 'image/png'}));
document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}));
"""


@needs_browser
def test_several_photos_in_a_browser(server, tmp_path):
    ui = pytest.importorskip('selenium.webdriver.support.ui')
    files = dict(
        a=photo(),
        note=b'hello',
        b=photo('TIFF'),
        large=photo(size=(300, 200)))
    paths = [tmp_path / f'{name}.jpg' for name in files]
    for path, data in zip(paths, files.values()):
        path.write_bytes(data)
    with open_browser() as driver:

        def find(selector):
            return driver.find_elements('css selector', selector)

        def wait(condition):
            ui.WebDriverWait(driver, 20, .02).until(lambda _: condition())

        def names():
            # in one go, as they are drawn anew for each photo
            return driver.execute_script(
                "return [...document.querySelectorAll('#results button')]"
                ".map((button) => button.textContent.split(':')[0])")

        driver.get(server.url)
        find('#file')[0].send_keys('\n'.join(map(str, paths)))
        wait(lambda: find('[role=alert]') and len(names()) == 3)
        # what cannot be read is named, and stops no other
        assert names() == ['large.jpg', 'b.jpg', 'a.jpg']
        alert = find('[role=alert]')[0].text
        assert 'note.jpg' in alert and 'large.jpg' not in alert
        # reduced to what the server takes
        width = driver.execute_script(
            "return document.querySelector('.panels img').naturalWidth")
        assert 200 < width < 250

        find('#results button')[2].click()
        wait(lambda: find('#status')[0].text.startswith('a.jpg: '))
        driver.execute_script(PASTE, list(photo('PNG')))
        wait(lambda: names()[0] == 'pasted.png')
        wait(lambda: find('#status')[0].text.startswith('pasted.png: '))

        driver.execute_cdp_cmd(
            'Browser.setDownloadBehavior',
            dict(behavior='allow', downloadPath=str(tmp_path)))
        find('#save-png')[0].click()
        wait(lambda: list(tmp_path.glob('pasted *mean.png')))
        saved, = tmp_path.glob('pasted *mean.png')
        picture = np.asarray(Image.open(saved).convert('RGB'))
        assert picture.shape[1] > 320 and len(np.unique(picture)) > 50
        # type as type, photo and map as pictures
        find('#save-svg')[0].click()
        wait(lambda: list(tmp_path.glob('pasted *mean.svg')))
        figure, = tmp_path.glob('pasted *mean.svg')
        parts = list(ElementTree.parse(figure).getroot())
        tags = [part.tag.rpartition('}')[2] for part in parts]
        assert tags.count('image') == 3 and tags.count('text') > 4
        assert 'photo' in [part.text for part in parts]
        driver.switch_to.active_element.send_keys('\ue014')  # arrow right
        wait(lambda: find('#status')[0].text.startswith('large.jpg: '))
        # of the note alone
        error, = console_errors(driver)
        assert '415' in error


@pytest.mark.slow
def test_command_line(checkpoint):
    process = subprocess.Popen(
        [sys.executable, ROOT / 'tools/serve.py', CONFIG, checkpoint] +
        ['--port', '0', '--device', 'cpu'] +
        ['--cfg-options', 'model.head.num_heads=1'],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        # Ctrl+C is ignored by what a shell starts in the background
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True)
    try:
        line = next(line for line in process.stdout if line.startswith('Open'))
        connection = http.client.HTTPConnection(
            '127.0.0.1', int(re.search(r':(\d+),', line)[1]), timeout=30)

        def send(data):
            connection.request('POST', '/explain', data,
                               {'Content-Type': 'image/jpeg'})

        send(photo())
        assert json.load(connection.getresponse())['grid'][0] == 1
        # the model is at work when Ctrl+C comes
        send(photo(size=(4000, 4000), quality=1))
        time.sleep(.2)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
        assert time.monotonic() - start < 2
        assert output == '\nStopped.\n' and process.returncode == 0
        assert 'Traceback' not in errors
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize('host, warns', [('127.0.0.1', False),
                                         ('0.0.0.0', True)])
def test_warns_of_other_hosts(checkpoint, run_tool, monkeypatch, capsys, host,
                              warns):

    async def serve(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(ExplanationServer, 'serve', serve)
    monkeypatch.setattr(os, '_exit', sys.exit)
    with pytest.raises(SystemExit) as stop:
        run_tool('serve.py', CONFIG, checkpoint, '--host', host, '--port', 0)
    output = capsys.readouterr().out
    assert ('Warning:' in output) == warns and f'http://{host}:' in output
    assert output.endswith('\nStopped.\n') and stop.value.code == 0


@pytest.mark.parametrize('flag, value, expected', [
    ('--max-pixels', 1_000_000_000, '1 to '),
    ('--max-pixels', 0, '1 to '),
    ('--max-mb', 0, '0.001 to 1000'),
    ('--max-mb', -1, '0.001 to 1000'),
    ('--max-mb', 'nan', '0.001 to 1000'),
    ('--port', -1, '0 to 65535'),
    ('--port', 65536, '0 to 65535'),
])
def test_limits_that_make_no_sense(run_tool, capsys, flag, value, expected):
    with pytest.raises(SystemExit):
        run_tool('serve.py', CONFIG, 'none.pth', flag, value)
    message = capsys.readouterr().err
    assert f'argument {flag}: has to be' in message and expected in message


@pytest.mark.parametrize('host, reason', [('127.0.0.1', 'in use'),
                                          ('192.0.2.1', 'assign'),
                                          ('no-such-host.invalid', ''),
                                          ('x' * 70, 'label')])
def test_addresses_that_cannot_be_served(checkpoint, run_tool, host, reason):
    with socket.create_server(('127.0.0.1', 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises((OSError, SystemExit)) as error:
            run_tool('serve.py', CONFIG, checkpoint, '--host', host, '--port',
                     port)
    assert f"port {port} of '{host}'" in str(error.value)
    assert reason in str(error.value)
