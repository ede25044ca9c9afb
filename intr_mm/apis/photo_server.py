"""The server of ``tools/serve.py``, for photos that strangers send."""
import asyncio
import ipaddress
import sys
from concurrent.futures import ThreadPoolExecutor
from html import escape
from string import Template
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer
from tornado.httputil import responses
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets
from tornado.web import (Application, HTTPError, RequestHandler,
                         stream_request_body)

from intr_mm.datasets import image_file
from intr_mm.visualization.report_encoding import (encode_explanation,
                                                   json_block, page_part,
                                                   page_settings)
from .inferencer import INTRInferencer

TITLE = 'Where classes look'
# More only as far as photos need them: each decoder is one more to trust.
FORMATS = tuple(
    name for name in ('JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF', 'AVIF', 'HEIF')
    if name in image_file.FORMATS)
SCRIPTS = ('heat.js', 'figure.js', 'viewer.js', 'serve.js')
HEADERS = {
    'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
    'Server': 'intr_mm',
}  # yapf: disable
# Pipelines enlarge the short edge, which makes a line of pixels immense.
MAX_ASPECT = 10
MAX_CLASSES = 5
# What strangers can hold at once: connections, photos that wait for the model,
# and bytes of photos as a multiple of the largest.
MAX_CONNECTIONS, MAX_WAITING, MAX_HELD = 200, 16, 16
# Deadlines for a request's head and body, and for taking the answer.
HEAD_SECONDS, BODY_SECONDS, ANSWER_SECONDS = 10, 60, 60


class ExplanationServer(HTTPServer):
    """Serves the page, and explains photos one at a time.

    Tornado parses requests, bounds their heads and bodies in bytes and
    seconds, and notices clients that leave.

    Args:
        inferencer: The model.
        host: Address to listen on.
        port: Port, 0 for any free one.
        max_bytes: Largest file.
        max_pixels: Largest photo.

    Raises:
        OSError: If it cannot listen there.
    """

    # HTTPServer's place for what is __init__ elsewhere
    def initialize(self,
                   inferencer: INTRInferencer,
                   host: str = '127.0.0.1',
                   port: int = 8000,
                   max_bytes: int = 10_000_000,
                   max_pixels: int = 50_000_000) -> None:
        super().initialize(
            Application([('.*', Handler, dict(server=self))],
                        log_function=lambda handler: None),
            no_keep_alive=True,
            idle_connection_timeout=HEAD_SECONDS,
            body_timeout=BODY_SECONDS,
            # What is too large is read and dropped, as closing before resets
            # the connection, and the client would not see the answer.
            max_body_size=10 * max_bytes)
        try:
            self.listening = bind_sockets(port, host)
        except (OSError, UnicodeError) as error:
            raise OSError(
                f"The page cannot be served at port {port} of '{host}' "
                f'({getattr(error, "strerror", error)}): give another --port '
                'or --host.') from None
        self.host = host
        self.port = self.listening[0].getsockname()[1]
        self.max_bytes = max_bytes
        self.max_pixels = max_pixels
        self.inferencer = inferencer
        num_classes = inferencer.model.head.num_classes
        self.class_numbers = set(map(str, range(num_classes)))
        self.turn = asyncio.Lock()
        self.worker = ThreadPoolExecutor(1)
        self.waiting: set[IOStream] = set()
        self.num_held = 0
        self.streams: list[IOStream] = []
        settings = page_settings(inferencer.classes, TITLE)
        head = json_block(
            'settings',
            dict(settings, maxBytes=max_bytes, maxPixels=max_pixels))
        page = Template(page_part('serve.html')).substitute(
            title=escape(TITLE), head=head, reading=page_part('reading.html'))
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
        return f'http://{host}:{self.port}'

    async def serve(self) -> None:
        """Serve until cancelled."""
        self.add_sockets(self.listening)
        try:
            await asyncio.Event().wait()
        finally:
            self.stop()

    def handle_stream(self, stream: IOStream, address: tuple) -> None:
        """Take in a connection; where there are too many, instead of the one
        that has been sending or receiving for longest."""
        self.streams = [one for one in self.streams if not one.closed()]
        if len(self.streams) >= MAX_CONNECTIONS:
            next(one for one in self.streams
                 if one not in self.waiting).close()
        self.streams.append(stream)
        super().handle_stream(stream, address)

    def explain(self, data: bytes, extra: list[int]) -> dict:
        """Where the best five classes and further ones look.

        Args:
            data: The photo.
            extra: Further classes.

        Returns:
            For the page.

        Raises:
            HTTPError: If it is too large or no photo.
        """
        try:
            image, _ = image_file.decode_image(
                data, max_pixels=self.max_pixels, formats=FORMATS)
        # Pillow's decoders have no one error for damaged files.
        except Exception as error:
            raise HTTPError(
                415, f'The photo cannot be read ({image_file.reason_of(error)}'
                '): send another one.') from None
        if max(image.shape[:2]) > MAX_ASPECT * min(image.shape[:2]):
            raise HTTPError(
                415, f'The photo has {image.shape[1]} x {image.shape[0]} '
                f'pixels: send one at most {MAX_ASPECT} times as long as it '
                'is wide.')
        depth = self.inferencer.model.head.num_layers
        classes = [f'top{min(5, len(self.class_numbers))}', *extra]
        explanation, = self.inferencer.explain(
            image, classes=classes, layers=range(depth))
        encoded = encode_explanation(explanation, image_size=640)
        picture, maps = encoded.base64()
        scores = [float(f'{score:.5g}') for score in explanation.scores]
        return dict(encoded.meta, image=picture, maps=maps, all=scores)


@stream_request_body
class Handler(RequestHandler):
    """Answers one request; see :class:`ExplanationServer`."""

    def initialize(self, server: ExplanationServer) -> None:
        self.server = server
        self.photo = bytearray()
        self.num_bytes = 0

    def set_default_headers(self) -> None:
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def data_received(self, chunk: bytes) -> None:
        is_whole = len(self.photo) == self.num_bytes
        self.num_bytes += len(chunk)
        self.server.num_held += len(chunk)
        self.photo += chunk
        if not (is_whole and self.num_bytes <= self.server.max_bytes
                and self.server.num_held <= MAX_HELD * self.server.max_bytes):
            self._drop()

    def _drop(self) -> None:
        self.server.num_held -= len(self.photo)
        self.photo.clear()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._drop()

    def on_finish(self) -> None:
        self._drop()
        asyncio.get_running_loop().call_later(
            ANSWER_SECONDS, self.request.connection.stream.close)

    def get(self) -> None:
        self._check_host()
        if self.request.path not in self.server.files:
            raise HTTPError(404, f'There is nothing at {self.request.path}.')
        kind, text = self.server.files[self.request.path]
        self.set_header('Content-Type', f'{kind}; charset=utf-8')
        self.finish(text)

    async def post(self) -> None:
        self._check_host()
        classes = self._check_request()
        server, stream = self.server, self.request.connection.stream
        loop = asyncio.get_running_loop()
        server.waiting.add(stream)
        try:
            async with server.turn:
                if stream.closed():
                    return
                answer = await loop.run_in_executor(server.worker,
                                                    server.explain,
                                                    bytes(self.photo), classes)
        finally:
            self._drop()
            server.waiting.discard(stream)
        self.finish(answer)

    def _check_host(self) -> None:
        # A foreign page whose name is made to point here (DNS rebinding)
        # gives itself away by that name. Tornado refuses a second one.
        host = self.request.headers.get('Host', '')
        try:
            name = urlsplit(f'//{host}').hostname or ''
            if name not in ('localhost', self.server.host.lower()):
                ipaddress.ip_address(name)
        except ValueError:
            raise HTTPError(
                403, 'Open the page by its address, or start the server with '
                'this name as --host.') from None
        origin = f'http://{host}'
        if self.request.headers.get('Origin', origin) != origin:
            raise HTTPError(403, 'Requests of other pages are not answered.')

    def _check_request(self) -> list[int]:
        """Further classes of a request to explain a photo."""
        server, kind = self.server, self.request.headers.get('Content-Type')
        if self.request.path != '/explain':
            raise HTTPError(404, f'There is nothing at {self.request.path}.')
        extra = set(self.get_query_arguments('class'))
        if len(extra) > MAX_CLASSES or not extra <= server.class_numbers:
            raise HTTPError(
                400, f'Classes are at most {MAX_CLASSES} numbers from 0 to '
                f'{len(server.class_numbers) - 1}.')
        if not (kind or '').startswith('image/'):
            raise HTTPError(
                415, f'Send a photo in the format {", ".join(FORMATS)}.')
        if self.num_bytes > server.max_bytes:
            raise HTTPError(
                413, f'The photo has {self.num_bytes / 1e6:.1f} MB, send one '
                f'of at most {server.max_bytes / 1e6:g} MB, or start the '
                'server with a larger --max-mb.')
        if (len(self.photo) < self.num_bytes
                or len(server.waiting) >= MAX_WAITING):
            raise HTTPError(503, 'Others sent too many photos, try again.')
        return sorted(map(int, extra))

    def write_error(self, status_code: int, exc_info=None, **kwargs) -> None:
        error = exc_info and exc_info[1]
        reason = None
        if status_code == 500:
            reason = ('The model failed on this photo; the terminal of the '
                      'server says why.')
        elif isinstance(error, HTTPError) and error.log_message:
            reason = error.log_message % error.args
        self.finish(dict(error=reason or f'{responses[status_code]}.'))

    def log_exception(self, typ, value, tb) -> None:
        if not isinstance(value, HTTPError):
            print(f'{typ.__name__}: {value}', file=sys.stderr)
