from pathlib import Path

_SUFFIXES = ('.jpg', '.jpeg', '.png')


def find_photos(folder: str, number: int) -> tuple[str, ...]:
    """Choose photos, evenly spread over the classes.

    Args:
        folder: Folder of class folders.
        number: How many at most.

    Returns:
        Their paths, sorted.

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
