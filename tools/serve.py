#!/usr/bin/env python
"""Ask a model about your photos, on a page of this computer.

The page shows the five best classes of a photo and where each head of each
layer looks, compares two classes, and takes any other class. It is the viewer
of :class:`intr_mm.visualization.report.HTMLReport`, served by Tornado: one
package, which has deadlines for heads and bodies of requests, as Uvicorn has
not, refuses what is not HTTP, and tells when a client leaves. Gradio would
pull in some fifty packages and need a second viewer.

Photos are decoded in memory and never stored. Only this computer reaches the
page unless ``--host`` says otherwise.
"""
import argparse
import asyncio
import os

from PIL import Image

from intr_mm_flags import ToolParser, device, number


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Ask a model about your photos, on a local page',
        'python tools/serve.py configs/intr_demo.py CHECKPOINT')
    parser.add_argument('config', help='config file path')
    parser.add_argument('checkpoint', help='checkpoint or exported file')
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen on, by default for this computer only')
    parser.add_argument(
        '--port',
        type=number(0, 65535),
        default=8000,
        help='port to listen on, 0 for any that is free')
    parser.add_argument(
        '--max-mb',
        type=number(.001, 1000, kind=float),
        default=10,
        help='largest photo in MB')
    parser.add_argument(
        '--max-pixels',
        type=number(1, Image.MAX_IMAGE_PIXELS),
        default=50_000_000,
        help='largest photo in pixels; more than the most allowed would not '
        'be safe to decode')
    parser.add_argument(
        '--device',
        type=device,
        help='where to run, such as `cuda:0`, by default on a GPU if any')
    parser.add_cfg_options()
    return parser.parse_args()


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

from mmengine.device import get_device

from intr_mm.apis import INTRInferencer
from intr_mm.apis.photo_server import ExplanationServer
from intr_mm.command_line import load_config, run_tool


def main(args: argparse.Namespace) -> None:
    cfg = load_config(args.config, args.cfg_options, 'model')
    inferencer = INTRInferencer(
        cfg, args.checkpoint, device=args.device or get_device())
    server = ExplanationServer(inferencer, args.host, args.port,
                               int(args.max_mb * 1e6), args.max_pixels)
    if args.host not in ('127.0.0.1', 'localhost', '::1'):
        print(f'Warning: whoever reaches {args.host} can use this page; it '
              'has no password and no encryption.')
    print(f'Open {server.url}, stop with Ctrl+C.', flush=True)
    try:
        asyncio.run(server.serve())
    except KeyboardInterrupt:
        print('\nStopped.', flush=True)
        os._exit(0)  # without waiting for the photo that the model is at


if __name__ == '__main__':
    run_tool(main, ARGS)
