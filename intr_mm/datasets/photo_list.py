"""Photos and their classes, from folders or a CSV, and a split of them."""
import csv
import hashlib
import io
import os.path as osp
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .image_file import EXTENSIONS, decode_image, read_file, reason_of
from .image_folders import list_folder
from .near_duplicates import MIN_EDGE, perceptual_hash

SPLITS = ('train', 'val', 'test')
# What is read of a CSV file, and what is measured anew; other columns may be
# there.
COLUMNS = ('path', 'label', 'split', 'group', 'left_out')
MEASURED = ('width', 'height')
NOT_LEFT_OUT = ('', 'no', 'false', '0')
_SPLIT_NAMES = dict(
    train='train',
    training='train',
    val='val',
    valid='val',
    validation='val',
    test='test')


@dataclass
class Photo:
    """One photo of a list.

    Args:
        path: Below the folder of the list, or absolute.
        label: Name of its class.
        split: 'train', 'val' or 'test'; '' if it is to be chosen.
        group: Photos of the same group stay in one split, such as those of one
            individual; '' is no group.
        shape: Height and width in pixels.
        hash: See :func:`perceptual_hash`.
        problem: Why it is left out; '' if it is not.
        passed_over: Whether it is left out because its list says so.
        extra: Names and cells of the list's other columns.
    """
    path: str
    label: str
    split: str = ''
    group: str = ''
    shape: tuple[int, int] = (0, 0)
    hash: np.ndarray | None = None
    problem: str = ''
    passed_over: bool = False
    extra: Sequence[tuple[str, str]] = ()


def read_folder(root: str) -> tuple[list[Photo], list[str]]:
    """List class folders, or train/val/test folders of class folders.

    Args:
        root: The folder.

    Returns:
        The photos, and what else lies there, each kind in some words.

    Raises:
        OSError: A folder cannot be read.
        ValueError: There are no class folders with images.
    """
    listing = list_folder(root, EXTENSIONS)
    splits = {
        name: _SPLIT_NAMES[name.lower()]
        for name in listing.images if name.lower() in _SPLIT_NAMES
    }
    parts, odd = [(listing, '', '')], listing.passed_over()
    if 'train' in splits.values():
        others = [name for name in listing.images if name not in splits]
        if others:
            raise ValueError(
                f"'{root}' holds '{others[0]}' beside the folders "
                f'{", ".join(splits)}: name the one or the others, so that it '
                'is clear whether they are splits or classes.')
        parts = [(list_folder(osp.join(root, name), EXTENSIONS), name, split)
                 for name, split in splits.items()]
        odd = [
            f'{words} in {name}' for part, name, _ in parts
            for words in part.passed_over()
        ]
    photos = [
        Photo(osp.join(name, label, path), label, split)
        for part, name, split in parts for label, paths in part.images.items()
        for path in paths
    ]
    odd += [
        f"class folder '{osp.join(name, label)}' without photos"
        for part, name, _ in parts for label, paths in part.images.items()
        if not paths
    ]
    if not photos:
        raise ValueError(f"'{root}' holds no class folders with images: put "
                         'the photos of each class into a folder there.')
    return photos, odd


def read_csv(file: str, root: str) -> tuple[list[Photo], list[str]]:
    """List the photos of a CSV file.

    Args:
        file: Its first line names the columns, of which ``path`` and ``label``
            are needed and ``split`` and ``group`` are read where they are
            there. A ``left_out`` other than no, false and 0 is a problem of
            its photo. Without such a line, there are ``path`` and ``label``.
        root: What relative paths count from.

    Returns:
        The photos, in order, and how many the file leaves out, in words.

    Raises:
        ValueError: A line is not understood, or two contradict each other.
    """
    try:
        text = Path(file).read_bytes().decode('utf-8-sig')
    except UnicodeDecodeError:
        raise ValueError(f"'{file}' is no text in UTF-8: save it as such, in "
                         'a spreadsheet as `CSV UTF-8`.') from None
    if not text:
        raise ValueError(f"'{file}' is empty: write a line `path,label` for "
                         'each photo.')
    # a name in quotes may hold ends of lines, which csv tells apart
    lines = io.StringIO(text, newline='')
    delimiter = max(',;\t', key=lines.readline().count)
    lines.seek(0)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    rows, number = [], 0
    try:
        for row in reader:
            rows.append((number + 1, row))
            number = reader.line_num
    except csv.Error as error:
        raise ValueError(
            f"'{file}' is no CSV file from line {number + 1} on ({error}): "
            'close the quotes there, or name the file that lists the '
            'photos.') from None
    head = rows[0][1]
    names = [name.strip().lower() for name in head]
    if 'path' in names and 'label' in names:
        rows = rows[1:]
    elif len(head) == 2 and osp.isfile(osp.join(root, head[0])):
        names = ['path', 'label']
    else:
        raise ValueError(
            f"'{file}' has the columns {', '.join(head)}: call one `path` "
            'and one `label` in its first line.')
    for name in COLUMNS:
        if names.count(name) > 1:
            raise ValueError(f"'{file}' has {names.count(name)} columns "
                             f'called `{name}`: rename all but one.')
    others = [
        i for i, name in enumerate(names) if name not in COLUMNS + MEASURED
    ]
    photos, seen, left_out = [], {}, 0
    for number, row in rows:
        if not any(row):
            continue
        place = f"'{file}', line {number}"
        if len(row) != len(names):
            raise ValueError(f'{place} has {len(row)} columns instead of '
                             f'{len(names)}: correct it.')
        values = dict(zip(names, (' '.join(cell.split()) for cell in row)))
        # a path is taken as it stands
        path = row[names.index('path')]
        split = values.get('split', '').lower()
        extra = [(head[i], row[i]) for i in others]
        if values.get('left_out', '').lower() not in NOT_LEFT_OUT:
            left_out += 1
            photos.append(
                Photo(
                    path,
                    values['label'],
                    split,
                    values.get('group', ''),
                    problem=values['left_out'],
                    passed_over=True,
                    extra=extra))
            continue
        if split and split not in _SPLIT_NAMES:
            raise ValueError(f"{place} has the split '{split}': use one of "
                             f'{", ".join(SPLITS)}, or nothing.')
        photo = Photo(
            path,
            values['label'],
            _SPLIT_NAMES.get(split, ''),
            values.get('group', ''),
            extra=extra)
        if not photo.label:
            photo.problem = 'it has no label'
        before = seen.setdefault(osp.normpath(path), (photo, number))
        if before[0] is photo:
            photos.append(photo)
        for key, words in (('label', ''), ('split', 'in the split '),
                           ('group', 'in the group ')):
            here, there = getattr(photo, key), getattr(before[0], key)
            if here != there:
                raise ValueError(
                    f"{place}: '{path}' is {words}'{here}', but '{there}' in "
                    f'line {before[1]}: correct one.')
    lines = f'{left_out} line{"s" * (left_out > 1)}'
    odd = [f"{lines} of '{file}' with a `left_out`"] if left_out else []
    return photos, odd


def look_at(photo: Photo, root: str) -> Photo:
    """Read a photo and note its size, its hash, or why it is left out, unless
    that is known."""
    problem = _look(photo, root)
    photo.problem = photo.problem or problem
    return photo


def _look(photo: Photo, root: str) -> str:
    try:
        line = photo.path.encode().decode()
    except UnicodeEncodeError:
        return 'its name is no Unicode'
    # as an annotation file would be read
    if line.splitlines() != [line.lstrip()]:
        return 'its name starts with a space or has several lines'
    try:
        image, photo.shape = decode_image(
            read_file(osp.join(root, photo.path)), min_edge=MIN_EDGE)
    except MemoryError:
        raise
    # Pillow's decoders have no one error for damaged files.
    except Exception as error:
        return getattr(error, 'strerror', None) or reason_of(error)
    photo.hash = perceptual_hash(image)
    return ''


def splits_of_groups(photos: Iterable[Photo]) -> dict[tuple[str, str], str]:
    """The split of each class's groups that have one.

    Raises:
        ValueError: Photos of one ``group`` have several splits.
    """
    split_of = {}
    for photo in photos:
        if photo.group and photo.split:
            other = split_of.setdefault((photo.label, photo.group),
                                        photo.split)
            if other != photo.split:
                raise ValueError(
                    f"The group '{photo.group}' of '{photo.label}' has "
                    f"photos in '{other}' and in '{photo.split}': give all "
                    'of them one split, or the others another group.')
    return split_of


def group_photos(photos: Sequence[Photo],
                 pairs: np.ndarray) -> list[list[Photo]]:
    """Photos that belong into one split.

    One that has no split gets that of its ``group``, or the only one that
    its near duplicates have.

    Args:
        photos: N photos.
        pairs: Indices (pairs, 2) of near duplicates.

    Returns:
        Groups, of which most hold one photo.

    Raises:
        ValueError: Photos of one ``group`` have several splits.
    """
    split_of = splits_of_groups(photos)
    first_of = {}
    named = [(first_of.setdefault((photo.label, photo.group), i), i)
             for i, photo in enumerate(photos) if photo.group]
    edges = np.concatenate([pairs, np.array(named, int).reshape(-1, 2)])
    graph = coo_matrix((np.ones(len(edges)), edges.T), [len(photos)] * 2)
    groups = defaultdict(list)
    for photo, name in zip(photos, connected_components(graph, False)[1]):
        groups[name].append(photo)
    for group in groups.values():
        given = {photo.split for photo in group} - {''}
        only = given.pop() if len(given) == 1 else ''
        for photo in group:
            photo.split = (
                photo.split or split_of.get((photo.label, photo.group), only))
    return list(groups.values())


def split_photos(groups: Iterable[list[Photo]], shares: dict[str, float],
                 seed: int) -> None:
    """Choose a split for each photo that has none, class by class.

    A photo's place depends on the seed and its own path, so that a split
    changes little where photos are added.

    Args:
        groups: Photos that stay together, see :func:`group_photos`.
        shares: What share of a class goes to 'val' and 'test'; the rest goes
            to 'train'.
        seed: Source of the order.

    Raises:
        ValueError: A class has too few photos or groups.
    """

    def order(group: list[Photo]) -> bytes:
        return hashlib.blake2b(f'{seed} {group[0].path}'.encode()).digest()

    free = [[photo for photo in group if not photo.split] for group in groups]
    by_class = defaultdict(list)
    for group in sorted(filter(None, free), key=order):
        by_class[group[0].label].append(group)
    shares = {split: share for split, share in shares.items() if share}
    few = [
        f"'{label}'" for label, rest in sorted(by_class.items())
        if len(rest) <= len(shares)
    ]
    if few:
        raise ValueError(
            f'{len(few)} of the classes have too few photos for '
            f'{len(shares) + 1} splits, where near duplicates count once: '
            f'{", ".join(few[:5])}{" ..." * (len(few) > 5)}; add photos, or '
            f'leave out small classes by `--min-images`.')
    for rest in by_class.values():
        total = sum(map(len, rest))
        # for train and each split to come, a group is left
        for left, (split,
                   share) in zip(range(len(shares), 0, -1), shares.items()):
            wanted, taken = max(1, round(total * share)), []
            for group in rest:
                if len(group) <= wanted and len(rest) - len(taken) > left:
                    taken.append(group)
                    wanted -= len(group)
            for group in taken or [min(rest, key=len)]:
                rest.remove(group)
                _move(group, split)
        for group in rest:
            _move(group, 'train')


def _move(group: list[Photo], split: str) -> None:
    for photo in group:
        photo.split = split


def count_splits(photos: Iterable[Photo]) -> dict[str, Counter]:
    """How many photos of each class each split has."""
    counts = defaultdict(Counter)
    for photo in photos:
        counts[photo.label][photo.split] += 1
    return dict(sorted(counts.items()))
