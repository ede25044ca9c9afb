import base64
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from .random_demo import CONFIG

NOTEBOOK = Path(__file__).parents[2] / 'demo' / 'intr_one_image.ipynb'


def pictures(notebook):
    return [
        cv2.imdecode(
            np.frombuffer(
                base64.b64decode(output.data['image/png']), np.uint8), 1)
        for cell in notebook.cells if cell.cell_type == 'code'
        for output in cell.outputs if 'image/png' in output.get('data', {})
    ]


@pytest.mark.slow
@pytest.mark.parametrize('given', [False, True])
def test_notebook_draws(checkpoint, birds, monkeypatch, given):
    """A bird drawn on the spot, or a photo from the environment."""
    monkeypatch.setenv('CONFIG', CONFIG)
    monkeypatch.setenv('CHECKPOINT', checkpoint)
    monkeypatch.setenv('PYTHONPATH', str(NOTEBOOK.parents[1]))
    if given:
        monkeypatch.setenv('IMAGE', str(birds / 'bird_3.png'))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook,
        timeout=300,
        kernel_name='python3',
        resources=dict(metadata=dict(path=str(NOTEBOOK.parent)))).execute()
    one, two, difference = pictures(notebook)
    assert two.shape[0] > 1.2 * one.shape[0]
    assert min(picture.std() for picture in (one, two, difference)) > 10


def test_notebook_is_stored_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == 'code':
            assert not cell.outputs and cell.execution_count is None
