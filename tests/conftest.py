import pytest
import torch

import intr_mm  # noqa: F401, registers the parts that tests build by name
from .tiny import write_images


@pytest.fixture(scope='session')
def images(tmp_path_factory):
    """Folder of the images that ``tests/data/tiny_intr.py`` trains on."""
    root = tmp_path_factory.mktemp('images')
    write_images(root)
    return root


def pytest_terminal_summary(terminalreporter):
    """Print what tests measured of the converters."""
    properties = [
        item for report in terminalreporter.getreports('passed')
        for item in report.user_properties
    ]
    rows = [value for key, value in properties if key == 'parity']
    if rows:
        terminalreporter.section(
            f'DETR converter, largest difference, torch {torch.__version__}')
        for name, encoder, decoder in rows:
            terminalreporter.write_line(
                f'{name:42} encoder {encoder:.1e}   decoder {decoder:.1e}')
    refusals = [value for key, value in properties if key == 'refusal']
    if refusals:
        terminalreporter.section('refused files')
        for refusal in refusals:
            terminalreporter.write_line(refusal)
