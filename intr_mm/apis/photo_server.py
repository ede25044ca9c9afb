"""The server of ``tools/serve.py``, and photos that strangers send."""
import io
import ipaddress
import json
import socket
import threading
import warnings
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from string import Template
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from intr_mm.visualization.report_encoding import (encode_explanation,
                                                   json_block, page_part,
                                                   page_settings)
from .inferencer import INTRInferencer

TITLE = 'Where classes look'
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP')
# Pipelines enlarge the short edge, which makes a line of pixels immense.
MAX_ASPECT = 10
TYPES = {f'image/{name.lower()}' for name in FORMATS}
SCRIPTS = ('heat.js', 'viewer.js', 'serve.js')
HEADERS = {
    'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    'X-Content-Type-Options':
    'nosniff',
    'Referrer-Policy':
    'no-referrer',
    'Cache-Control':
    'no-store',
}


class Refusal(Exception):
    """A request that is answered by an error of one sentence."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def decode_image(data: bytes, max_pixels: int) -> np.ndarray:
    """Decode a photo of which nothing is trusted.

    Args:
        data: The file.
        max_pixels: Largest number of pixels.

    Returns:
        BGR image (H, W, 3), uint8, turned upright.

    Raises:
        Refusal: If it is too large or no photo.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error', Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        # known before any pixel is decoded
        if image.width * image.height > max_pixels:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f'The photo has {image.width} x {image.height} pixels, send '
                f'one of at most {max_pixels}.')
        if max(image.size) > MAX_ASPECT * min(image.size):
            raise Refusal(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f'The photo has {image.width} x {image.height} pixels, send '
                f'one at most {MAX_ASPECT} times as long as it is wide.')
        image = ImageOps.exif_transpose(image).convert('RGB')
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f'The photo has too many pixels, send one of at most '
            f'{max_pixels}.') from None
    except UnidentifiedImageError:
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            'The file is no photo that can be read, send one in the format '
            f'{", ".join(FORMATS)}.') from None
    # Pillow's decoders raise all of these for damaged files.
    except (OSError, SyntaxError, ValueError, IndexError, TypeError):
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                      'The photo is damaged, send another one.') from None
    return np.ascontiguousarray(np.asarray(image)[..., ::-1])


class ExplanationServer(ThreadingHTTPServer):
    """Serves the page, and explains photos one at a time.

    Args:
        inferencer: The model.
        host: Address to listen on.
        port: Port, 0 for any free one.
        max_bytes: Largest file. Defaults to 10 MB.
        max_pixels: Largest photo. Defaults to 50 million.
    """
    daemon_threads = True

    def __init__(self,
                 inferencer: INTRInferencer,
                 host: str = '127.0.0.1',
                 port: int = 8000,
                 max_bytes: int = 10_000_000,
                 max_pixels: int = 50_000_000) -> None:
        if ':' in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), Handler)
        self.host = host
        self.max_bytes = max_bytes
        self.max_pixels = max_pixels
        self.inferencer = inferencer
        self.num_classes = inferencer.model.head.num_classes
        self._lock = threading.Lock()
        settings = page_settings(inferencer.classes, TITLE)
        head = json_block('settings', dict(settings, maxBytes=max_bytes))
        page = Template(page_part('serve.html')).substitute(
            title=escape(TITLE), head=head)
        self.files = {
            '/': ('text/html', page),
            '/style.css': ('text/css', page_part('style.css')),
            '/script.js': ('text/javascript', ''.join(map(page_part,
                                                          SCRIPTS))),
        }

    @property
    def url(self) -> str:
        """Address of the page."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'http://{host}:{self.server_address[1]}'

    def explain(self, data: bytes, extra: list[int]) -> dict:
        """Where the best five classes and further ones look.

        Args:
            data: The photo.
            extra: Further classes.

        Returns:
            For the page.

        Raises:
            Refusal: If it is too large or no photo.
        """
        depth = self.inferencer.model.head.num_layers
        classes = [f'top{min(5, self.num_classes)}', *extra]
        # One after the other, as each takes all cores and much RAM.
        with self._lock:
            image = decode_image(data, self.max_pixels)
            explanation, = self.inferencer.explain(
                image, classes=classes, layers=range(depth))
        encoded = encode_explanation(explanation, image_size=640)
        picture, maps = encoded.base64()
        scores = [float(f'{score:.5g}') for score in explanation.scores]
        return dict(encoded.meta, image=picture, maps=maps, all=scores)


class Handler(BaseHTTPRequestHandler):
    """Answers one request; see :class:`ExplanationServer`."""
    # seconds for which a silent client may hold a thread
    timeout = 30
    server_version = 'intr_mm'
    sys_version = ''
    _is_read = False

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, method) -> None:
        try:
            self._send(*self._call(method))
        except (TimeoutError, ConnectionError) as error:
            self.log_error('%r', error)

    def _call(self, method) -> tuple[HTTPStatus, str, str]:
        try:
            self._check_host()
            return HTTPStatus.OK, *method()
        except Refusal as refusal:
            self._discard()
            return _error(refusal.status, str(refusal))
        except (TimeoutError, ConnectionError):
            raise
        except Exception as error:
            self.log_error('%r', error)
            return _error(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                'The model failed on this photo; the terminal of the server '
                'says why.')

    def _check_host(self) -> None:
        # A foreign page whose name is made to point here (DNS rebinding)
        # gives itself away by that name.
        host = self.headers.get('Host', '')
        name = urlsplit(f'//{host}').hostname or ''
        if name not in ('localhost', self.server.host.lower()):
            try:
                ipaddress.ip_address(name)
            except ValueError:
                raise Refusal(
                    HTTPStatus.FORBIDDEN,
                    'Open the page by its address, or start the server with '
                    'this name as --host.') from None
        if self.headers.get('Origin', f'http://{host}') != f'http://{host}':
            raise Refusal(HTTPStatus.FORBIDDEN,
                          'Requests of other pages are not answered.')

    def _get(self):
        path = urlsplit(self.path).path
        if path not in self.server.files:
            raise Refusal(HTTPStatus.NOT_FOUND, f'There is nothing at {path}.')
        return self.server.files[path]

    def _post(self):
        url = urlsplit(self.path)
        if url.path != '/explain':
            raise Refusal(HTTPStatus.NOT_FOUND,
                          f'There is nothing at {url.path}.')
        extra = parse_qs(url.query).get('class', [])
        count = self.server.num_classes
        if not all(text.isascii() and text.isdigit() and int(text) < count
                   for text in extra):
            raise Refusal(HTTPStatus.BAD_REQUEST,
                          f'Classes are numbers from 0 to {count - 1}.')
        answer = self.server.explain(self._read_body(),
                                     [int(text) for text in extra])
        return 'application/json', json.dumps(answer)

    def _read_body(self) -> bytes:
        length = self.headers.get('Content-Length', '')
        if not (length.isascii() and length.isdigit()):
            raise Refusal(HTTPStatus.LENGTH_REQUIRED,
                          'Send the photo with its Content-Length.')
        if int(length) > self.server.max_bytes:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f'The photo has {int(length) / 1e6:.1f} MB, send one of at '
                f'most {self.server.max_bytes / 1e6:g} MB.')
        if self.headers.get_content_type() not in TYPES:
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                          f'Send a photo in the format {", ".join(FORMATS)}.')
        self._is_read = True
        return self.rfile.read(int(length))

    def _discard(self) -> None:
        """Read what is not wanted: closing before resets the connection, and
        the client would not see the answer."""
        length = self.headers.get('Content-Length', '')
        if not self._is_read and length.isascii() and length.isdigit():
            left = min(int(length), 10 * self.server.max_bytes)
            while left and (part := self.rfile.read(min(left, 1 << 16))):
                left -= len(part)

    def _send(self, status: HTTPStatus, kind: str, body: str) -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header('Content-Type', f'{kind}; charset=utf-8')
        self.send_header('Content-Length', str(len(data)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def send_error(self, code, message=None, explain=None) -> None:
        """Also answer what the standard library refuses in JSON."""
        self._send(
            *_error(HTTPStatus(code), message or HTTPStatus(code).description))


def _error(status: HTTPStatus, reason: str) -> tuple[HTTPStatus, str, str]:
    return status, 'application/json', json.dumps(dict(error=reason))
