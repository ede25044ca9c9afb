"""The lists of CUB-200-2011, read with regard to mistakes."""
from collections.abc import Callable, Sequence

from mmengine.fileio import get_file_backend

IMAGES, LABELS, SPLIT = ('images.txt', 'image_class_labels.txt',
                         'train_test_split.txt')


def _split(text: str) -> str:
    if text not in ('0', '1'):
        raise ValueError
    return text


def read_list(path: str, kinds: Sequence[Callable],
              what: str) -> list[tuple[int, list]]:
    """Read lines of an image id and values.

    Args:
        path: Path or URL of the list.
        kinds: What turns the text of each value into it, or raises ValueError.
        what: Names the values for a message.

    Returns:
        Id and values of each line.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line holds something else, or there is none.
    """
    content = get_file_backend(path, enable_singleton=True).get(path)
    rows = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            image_id, *values = line.decode().split()
            if len(values) != len(kinds):
                raise ValueError
            rows.append((int(image_id),
                         [kind(text) for kind, text in zip(kinds, values)]))
        except ValueError:
            shown = line[:50].decode(errors='backslashreplace')
            raise ValueError(
                f"'{path}', line {number}: {shown!r} is not an image id and "
                f'{what}: unpack CUB-200-2011 again.') from None
    if not rows:
        raise ValueError(f"'{path}' is empty: unpack CUB-200-2011 again.")
    return rows


def check_lists(root: str) -> None:
    """Check the lists that :class:`mmpretrain.datasets.CUB` reads.

    Args:
        root: Folder of the data set.

    Raises:
        FileNotFoundError: A list is missing.
        ValueError: A line is damaged, or lists do not fit each other.
    """
    backend = get_file_backend(root, enable_singleton=True)
    first, known = None, None
    for name, kind, what in ((IMAGES, str, 'the path of an image'),
                             (LABELS, int, 'the number of a class'),
                             (SPLIT, _split, '0 or 1')):
        path = backend.join_path(root, name)
        ids = {}
        for number, (image_id,
                     _) in enumerate(read_list(path, [kind], what), 1):
            if image_id in ids:
                raise ValueError(
                    f"'{path}', line {number}: image {image_id} was in line "
                    f'{ids[image_id]} already: unpack CUB-200-2011 again.')
            ids[image_id] = number
        if known is None:
            first, known = path, ids
        for one, other, there, here in ((first, path, known, ids),
                                        (path, first, ids, known)):
            missing = [i for i in there if i not in here]
            if missing:
                raise ValueError(
                    f"'{other}' has no line for image {missing[0]}, which "
                    f"'{one}' has in line {there[missing[0]]}: take both from "
                    'one copy of CUB-200-2011.')
