#!/usr/bin/env python
"""Run notebooks and store them with what they print and draw.

A digest of the code is stored too, by which a test tells whether the pictures
are those of the code beside them. Logs and warnings, which name paths of the
machine, are left out. `make demo` has to be run before.
"""
import argparse
import hashlib
import io
import re
from base64 import b64decode, b64encode
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).resolve().parent
_LOG = re.compile(' - mmengine - | elapsed: |\x1b')


def digest(notebook: nbformat.NotebookNode) -> str:
    """Of all code of a notebook."""
    code = [c.source for c in notebook.cells if c.cell_type == 'code']
    return hashlib.sha256('\n\n'.join(code).encode()).hexdigest()


def without_logs(outputs: list) -> list:
    """Outputs of a cell less warnings and log lines."""
    kept = []
    for output in outputs:
        if output.get('name') == 'stderr':
            continue
        if output.output_type == 'stream':
            # what progress bars left when they were drawn anew
            text = re.sub('.*\x1b\\[2K', '', output.text)
            lines = text.splitlines(keepends=True)
            output.text = ''.join(
                line for line in lines if not _LOG.search(line))
        if 'image/png' in output.get('data', {}):
            output.data['image/png'] = packed(output.data['image/png'])
        if output.output_type != 'stream' or output.text.strip():
            kept.append(output)
    return kept


def packed(picture: str) -> str:
    """The same pixels of a PNG file in base64 in fewer bytes."""
    file = io.BytesIO()
    image = Image.open(io.BytesIO(b64decode(picture)))
    if image.mode == 'RGBA' and image.getextrema()[3] == (255, 255):
        image = image.convert('RGB')
    image.save(file, 'png', optimize=True)
    return b64encode(file.getvalue()).decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'notebooks',
        nargs='*',
        default=sorted(map(str, HERE.glob('*.ipynb'))),
        help='files to run (default: all of this folder)')
    for path in parser.parse_args().notebooks:
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(
            notebook,
            timeout=None,
            record_timing=False,
            resources=dict(metadata=dict(
                path=str(Path(path).parent)))).execute()
        for cell in notebook.cells:
            if cell.cell_type == 'code':
                cell.outputs = without_logs(cell.outputs)
        notebook.metadata.code_sha256 = digest(notebook)
        nbformat.write(notebook, path)


if __name__ == '__main__':
    main()
