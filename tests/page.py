"""The local page of the tiny model, and photos to send to it."""
import asyncio
import io
import threading
from contextlib import contextmanager

import numpy as np
from PIL import Image

from intr_mm.apis import INTRInferencer
from intr_mm.apis.photo_server import ExplanationServer
from .tiny import CONFIG, save_model, tiny_model

HOSTILE = '</script><img src=x onerror="window.hacked=1">'


def save_page_model(path):
    """Random weights, with names of classes."""
    return save_model(tiny_model(), path, ['a_wren', HOSTILE, 'c_tit'])


@contextmanager
def running_server(checkpoint, **limits):
    """Serve in a thread."""
    inferencer = INTRInferencer(CONFIG, checkpoint, device='cpu')
    server = ExplanationServer(inferencer, port=0, **limits)
    loop = asyncio.new_event_loop()
    task = loop.create_task(server.serve())
    thread = threading.Thread(
        target=loop.run_until_complete, args=[asyncio.wait([task])])
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


def photo(kind='JPEG', size=(60, 44), **options):
    """A file of noise."""
    image = np.random.default_rng(0).integers(0, 256, size[::-1] + (3, ))
    file = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(file, kind, **options)
    return file.getvalue()
