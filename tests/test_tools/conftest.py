import pytest

from ..tiny import write_images


@pytest.fixture(scope='session')
def images(tmp_path_factory):
    """Folder of the images that ``tests/data/tiny_intr.py`` trains on."""
    root = tmp_path_factory.mktemp('images')
    write_images(root)
    return root
