import pytest

from intr_mm.apis import INTRInferencer
from ..tiny import DEMO, save_demo, write_birds


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory):
    return save_demo(tmp_path_factory.mktemp('random') / 'random.pth')


@pytest.fixture(scope='session')
def inferencer(checkpoint):
    return INTRInferencer(DEMO, checkpoint)


@pytest.fixture(scope='session')
def birds(tmp_path_factory):
    """Folder of three images of one size, and one that is wider."""
    folder = tmp_path_factory.mktemp('birds')
    write_birds(folder, (288, 288), (288, 288), (288, 288), (288, 432))
    return folder
