import base64
import runpy

import cv2
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from intr_mm.datasets import RingSpecies
from intr_mm.visualization import draw_explanation
from ..test_tools.test_split_folder import SMALL, draw, write
from ..tiny import DEMO, ROOT

NOTEBOOK = ROOT / 'demo' / 'intr_one_image.ipynb'


def pictures(notebook):
    return [
        cv2.imdecode(
            np.frombuffer(
                base64.b64decode(output.data['image/png']), np.uint8),
            1)[..., ::-1] for cell in notebook.cells
        if cell.cell_type == 'code' for output in cell.outputs
        if 'image/png' in output.get('data', {})
    ]


def trim(picture):
    """Cut off the white margin."""
    rows, columns = np.nonzero((picture < 250).any(-1))
    return picture[rows.min():rows.max() + 1,
                   columns.min():columns.max() + 1].astype(np.float32)


def correlation(one, other):
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


@pytest.mark.slow
@pytest.mark.parametrize('given', [False, True])
def test_notebook_draws(inferencer, checkpoint, birds, monkeypatch, given):
    """A bird drawn on the spot, or a photo from the environment."""
    monkeypatch.setenv('CONFIG', DEMO)
    monkeypatch.setenv('CHECKPOINT', checkpoint)
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    image = RingSpecies(num_samples=1, seed=7).get_data_info(0)
    if given:
        image = str(birds / 'bird_3.png')
        monkeypatch.setenv('IMAGE', image)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook,
        timeout=300,
        kernel_name='python3',
        resources=dict(metadata=dict(path=str(NOTEBOOK.parent)))).execute()
    *drawn, difference = map(trim, pictures(notebook))
    for classes, picture in zip(('pred', 'top2'), drawn, strict=True):
        explanation, = inferencer.explain(image, classes)
        expected = trim(draw_explanation(explanation, inferencer.classes))
        expected = cv2.resize(
            expected, picture.shape[1::-1], interpolation=cv2.INTER_AREA)
        # blurred, as letters fall between pixels: .996; .990 with another
        # class in place of the photo's
        blurred = (
            cv2.GaussianBlur(of, (0, 0), 1) for of in (picture, expected))
        assert correlation(*blurred) > .993
    # red where the first of two classes looks more, below the title
    height, width = explanation.image.shape[:2]
    rows = round(difference.shape[1] * height / width)
    first, second = explanation.maps[0].mean(1)
    expected = explanation.geometry.resample(first - second,
                                             explanation.img_shape,
                                             (rows, difference.shape[1]))
    found = difference[-rows:]
    assert correlation(found[..., 0] - found[..., 2], expected) > .9


@pytest.mark.slow
@pytest.mark.heavy
def test_from_a_folder_to_figures(tmp_path, monkeypatch):
    for i in range(36):
        write(tmp_path / f'photos/{"abc"[i % 3]}/{i}.png', draw(i))
    others = 'model.head.num_layers', 'model.head.feedforward_channels'
    options = {k: v for k, v in SMALL.items() if k not in others}
    monkeypatch.setenv('PHOTOS', str(tmp_path / 'photos'))
    monkeypatch.setenv('WORK', str(tmp_path / 'work'))
    monkeypatch.setenv('OPTIONS',
                       ' '.join(f'{k}={v}' for k, v in options.items()))
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    notebook = nbformat.read(
        NOTEBOOK.parent / 'own_photos.ipynb', as_version=4)
    NotebookClient(
        notebook,
        timeout=300,
        kernel_name='python3',
        resources=dict(metadata=dict(path=str(NOTEBOOK.parent)))).execute()
    assert len(pictures(notebook)) == 2
    assert (tmp_path / 'work/gallery.pdf').stat().st_size > 1e4


@pytest.mark.parametrize('path', sorted(NOTEBOOK.parent.glob('*.ipynb')))
def test_stored_pictures_are_those_of_the_code(path):
    """`demo/run_notebooks.py` stored them, in a run from top to bottom."""
    digest = runpy.run_path(str(NOTEBOOK.parent /
                                'run_notebooks.py'))['digest']
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata.code_sha256 == digest(notebook)
    assert len(pictures(notebook)) >= 2
    assert path.stat().st_size < 1e6
    counts = [c.execution_count for c in notebook.cells if 'outputs' in c]
    assert counts == list(range(1, len(counts) + 1))
    # of the machine that it ran on
    assert str(
        ROOT) not in path.read_text() and '/tmp/' not in path.read_text()
