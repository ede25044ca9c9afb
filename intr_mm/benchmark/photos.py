from pathlib import Path
from typing import Tuple

_SUFFIXES = ('.jpg', '.jpeg', '.png')


def find_photos(folder: str, number: int) -> Tuple[str, ...]:
    """Choose photos, evenly spread over the classes.

    Args:
        folder (str): Folder of class folders.
        number (int): How many at most.

    Returns:
        tuple[str]: Their paths, sorted.

    Raises:
        ValueError: There are none.
    """
    paths = sorted(
        str(path) for path in Path(folder).glob('*/*')
        if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise ValueError(f"--photos '{folder}' holds no class folders with "
                         f'photos ({", ".join(_SUFFIXES)}).')
    return tuple(paths[::max(1, len(paths) // number)][:number])
