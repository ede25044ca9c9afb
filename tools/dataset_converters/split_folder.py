#!/usr/bin/env python
"""Look through a folder of photos, split it, and write a config for it.

No photo is copied: train, val and test are annotation files of MMPretrain's
CustomDataset beside the config, and photos.csv, which can be corrected and
given back. Photos that are almost the same stay in one split, as one of them
in training would give away the other. A split that is there already, as
folders or in a CSV, is kept.
"""
import argparse
import csv
import io
import os
import os.path as osp
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from intr_mm_flags import ToolParser, check_folder, number, output_folder

ROOT = Path(__file__).resolve().parents[2]


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        __doc__, 'python tools/dataset_converters/split_folder.py photos')
    parser.add_argument(
        'photos',
        help='folder of class folders, or of train, val and test folders of '
        'them, or a CSV file with the columns path and label, and, if you '
        'like, split and group (photos of a group stay in one split)')
    parser.add_argument(
        '--data-root',
        help='folder that relative paths of a CSV file count from (default: '
        'that of the file)')
    parser.add_argument(
        '--out',
        type=output_folder,
        help='folder of the lists and the config (default: data/NAME_split)')
    parser.add_argument(
        '--config',
        default=str(ROOT / 'configs' / 'intr_folder_frozen_224px.py'),
        help='recipe that the config inherits from (default: '
        'configs/intr_folder_frozen_224px.py)')
    parser.add_argument(
        '--val-share',
        type=number(0, 1, float),
        default=.15,
        help='share of each class for validation (default: 0.15)')
    parser.add_argument(
        '--test-share',
        type=number(0, 1, float),
        default=.15,
        help='share of each class for the test; 0 tests on the validation '
        'photos (default: 0.15)')
    parser.add_argument(
        '--seed',
        type=number(0),
        default=0,
        help='seed of the split (default: 0)')
    parser.add_argument(
        '--min-images',
        type=number(1),
        default=1,
        help='leave out classes of fewer photos (default: 1)')
    parser.add_argument(
        '--max-distance',
        type=number(-1, 255),
        default=50,
        help='in how many of 255 bits of a perceptual hash near duplicates '
        'differ at most, -1 looks for none (default: 50)')
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace another split in the same folder, and what was '
        'corrected there')
    parser.add_cfg_options('the written config')
    args = parser.parse_args()
    if not (0 < args.val_share < 1 and 0 <= args.test_share < 1
            and args.val_share + args.test_share < 1):
        parser.error('--val-share has to be above 0, --test-share at least 0, '
                     'and both together below 1, got '
                     f'{args.val_share} and {args.test_share}')
    if args.data_root is not None and osp.isdir(args.photos):
        parser.error(f"--data-root is for CSV files, and '{args.photos}' is a "
                     'folder')
    for key in args.cfg_options:
        if any(part.isdigit() for part in key.split('.')):
            parser.error(f'--cfg-options {key}: a config replaces lists as a '
                         'whole, so give all of it')
    return args


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

import numpy as np
from mmengine.config import Config
from terminaltables import AsciiTable

from intr_mm.apis.class_names import plain_name
from intr_mm.command_line import load_config, run_tool
from intr_mm.datasets.near_duplicates import near_duplicates
from intr_mm.datasets.photo_list import (SPLITS, Photo, count_splits,
                                         group_photos, look_at, read_csv,
                                         read_folder, split_photos,
                                         splits_of_groups)
from intr_mm.progress import track

# as train.py
NEEDS = 'model', 'train_dataloader', 'train_cfg', 'optim_wrapper'
SHOWN, TABLE_ROWS = 5, 40
SMALL, LONG = 64, 3
# Photos of CUB-50, on which the recipe with a frozen backbone was measured.
# Fewer are shown more often, up to this many times.
RECIPE_PHOTOS, MOST_REPEATS = 1500, 8


def list_photos(args: argparse.Namespace) -> tuple[str, list, list[str]]:
    """The folder that paths count from, the photos, and what else is there."""
    if osp.isdir(args.photos):
        photos, odd = read_folder(args.photos)
        root = osp.abspath(args.photos)
    else:
        root = osp.abspath(args.data_root or osp.dirname(args.photos))
        photos, odd = read_csv(args.photos, root)
    listed = [photo for photo in photos if not photo.passed_over]
    check_class_names({photo.label for photo in listed})
    splits_of_groups(listed)
    return root, photos, odd


def look_at_all(photos: list[Photo], root: str) -> None:
    """Read all photos, which takes long."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = pool.map(lambda photo: look_at(photo, root), photos)
        for _ in track(looked, 'Looking', len(photos), 'photos'):
            pass


def check_class_names(labels: set[str]) -> None:
    """Refuse names that people would take for the same."""
    plain = {}
    for label in sorted(labels):
        other = plain.setdefault(plain_name(label), label)
        if other != label:
            raise ValueError(f"The classes '{other}' and '{label}' differ in "
                             'case, spaces, _ or - only: rename one, or merge '
                             'them.')


def leave_out_small(photos: list[Photo], min_images: int) -> None:
    """Mark the photos of classes that are too small."""
    counts = Counter(photo.label for photo in photos if not photo.problem)
    for photo in photos:
        if not photo.problem and counts[photo.label] < min_images:
            photo.problem = f'its class has fewer than {min_images} photos'


def divide(args: argparse.Namespace, photos: list[Photo]) -> np.ndarray:
    """Give each photo a split; the pairs of near duplicates."""
    pairs = np.empty((0, 2), int)
    if args.max_distance >= 0:
        pairs = near_duplicates(
            np.stack([photo.hash for photo in photos]), args.max_distance)
    # by the splits as they were given, of which some are taken away below
    groups = group_photos(photos, pairs)
    given = {photo.split for photo in photos}
    shares = dict(test=args.test_share, val=args.val_share)
    # what is there is not chosen again
    shares = {s: share for s, share in shares.items() if s not in given}
    if 'train' in given:
        shares.pop('test', None)
        if 'val' not in given:
            for photo in photos:
                photo.split = photo.split.replace('train', '')
        elif '' in given:
            raise ValueError(f"'{args.photos}' gives some photos a split and "
                             'others none: fill in the rest, or none.')
    split_photos(groups, shares, args.seed)
    for label, count in count_splits(photos).items():
        if not count['train']:
            raise ValueError(f"The class '{label}' has no photos to train on: "
                             'give it some, or leave it out.')
    return pairs


def show(title: str, items: Sequence[str]) -> None:
    """Print the first of many items."""
    if not items:
        return
    print(f'{len(items)} {title}:')
    for item in items[:SHOWN]:
        print(f'  {item}')
    if len(items) > SHOWN:
        print(f'  ... and {len(items) - SHOWN} more')


def report(photos: list[Photo], taken: list[Photo], odd: list[str],
           pairs: np.ndarray) -> None:
    """Print what is there."""
    counts = count_splits(taken)
    rows = sorted(counts.items(), key=lambda row: sum(row[1].values()))
    hidden = len(rows) - TABLE_ROWS
    rows = rows if hidden > 0 else list(counts.items())
    table = [['class', 'photos', *SPLITS]]
    for label, count in rows[:TABLE_ROWS]:
        table.append([label, sum(count.values()), *(count[s] for s in SPLITS)])
    if hidden > 0:
        table.append([f'... and {hidden} larger ones'])
    total = Counter(photo.split for photo in taken)
    table.append(['all', len(taken), *(total[s] for s in SPLITS)])
    print(AsciiTable(table).table)
    small, *_, large = sorted((p.shape for p in taken), key=np.prod)
    print(f'{len(taken)} photos of {len(counts)} classes, of '
          f'{small[1]}x{small[0]} to {large[1]}x{large[0]} pixels.')
    show('left out', [
        f'{p.path}: {p.problem}'
        for p in photos if p.problem and not p.passed_over
    ])
    show('other things found', odd)
    show(
        f'smaller than {SMALL} pixels or more than {LONG} times as long as '
        'wide, but taken', [
            f'{p.path}: {p.shape[1]}x{p.shape[0]} pixels' for p in taken
            if min(p.shape) < SMALL or max(p.shape) > LONG * min(p.shape)
        ])
    close = [(taken[i], taken[j]) for i, j in pairs]
    show('pairs of near duplicates', [f'{a.path}, {b.path}' for a, b in close])
    show('of these pairs lie in two splits, so that the test says too much',
         [f'{a.path}, {b.path}' for a, b in close if a.split != b.split])
    show('of these pairs lie in two classes, of which one may be wrong',
         [f'{a.path}, {b.path}' for a, b in close if a.label != b.label])


def describe_photos(photos: list[Photo]) -> str:
    """Content of photos.csv, which this tool reads."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator='\n')
    # Python 3.11, for one, puts a carriage return alone into no quotes
    quoted = csv.writer(file, lineterminator='\n', quoting=csv.QUOTE_ALL)
    table.writerow([
        'path', 'label', 'split', 'group', 'width', 'height', 'left_out',
        *(name for name, _ in photos[0].extra)
    ])
    for p in photos:
        row = [
            p.path.encode(errors='backslashreplace').decode(), p.label,
            p.split, p.group, p.shape[1], p.shape[0], p.problem,
            *(cell for _, cell in p.extra)
        ]
        writer = quoted if any('\r' in str(cell) for cell in row) else table
        writer.writerow(row)
    return file.getvalue()


def read_recipe(args: argparse.Namespace) -> Config:
    """The config to inherit from, with the options.

    Raises:
        ValueError: It does not read folders or trains by iterations, or an
            option does not suit it.
    """
    recipe = load_config(args.config, dict(args.cfg_options), *NEEDS)
    if 'max_epochs' not in recipe.train_cfg:
        raise ValueError(f'{args.config} trains by iterations (train_cfg='
                         f'{dict(recipe.train_cfg)}): name a recipe that sets '
                         'train_cfg.max_epochs.')
    for split in SPLITS:
        loader = recipe.get(f'{split}_dataloader') or {}
        if 'data_prefix' not in (loader.get('dataset') or {}):
            raise ValueError(f'{args.config} reads no folders of photos: name '
                             'a recipe whose datasets are CustomDataset.')
    return recipe


def write_config(args: argparse.Namespace, recipe: Config, out: str, root: str,
                 counts: dict[str, Counter]) -> str:
    """Content of the config."""
    total = sum(counts.values(), Counter())
    # A folder that can be moved, unless MMEngine, which pastes its name
    # between the quotes, would break them. NUL is in no name.
    here = Path(osp.abspath(out)).as_posix()
    if here.isprintable() and not set(here) & {*"'\\{"}:
        here = '\0'
    settings = Config(
        dict(
            data_root=root,
            data_preprocessor=dict(num_classes=len(counts)),
            model=dict(head=dict(num_classes=len(counts)))))
    for split in SPLITS:
        name = split if total[split] else 'val'
        settings[f'{split}_dataloader'] = dict(
            dataset=dict(
                data_root=root,
                data_prefix='',
                ann_file=f'{here}/{name}.txt',
                classes=f'{here}/classes.txt'))
    batch_size = recipe.train_dataloader.batch_size
    if total['train'] < batch_size:
        settings.train_dataloader.batch_size = total['train']
    if recipe.model.get('feature_cache'):
        repeats = min(MOST_REPEATS, RECIPE_PHOTOS / total['train'])
        epochs = round(recipe.train_cfg.max_epochs * max(1, repeats))
        settings.train_cfg = dict(max_epochs=epochs)
    settings.merge_from_dict(args.cfg_options)
    base = osp.relpath(args.config, out)
    text = f'_base_ = {base!r}\n\n{settings.pretty_text}'
    # braces of names are no variables of MMEngine
    text = text.replace('{{', r'{\x7b')
    text = text.replace(r"'\x00/", "'{{ fileDirname }}/")
    return (f'"""Written by split_folder.py: {total["train"]} photos of '
            f'{len(counts)} classes to train."""\n{text}')


def write_files(out: Path, files: dict[str, str], given: str,
                overwrite: bool) -> None:
    """Write all files, or refuse to change what is there.

    Args:
        out: The folder.
        files: Content of each file, by its name.
        given: File that was read, which its own list may replace.
        overwrite: Change what is there.
    """
    for name, content in files.items():
        path = out / name
        if overwrite or not path.exists() or (name == 'photos.csv'
                                              and path.samefile(given)):
            continue
        if path.read_bytes() != content.encode():
            held = ('another split, on which models may have been trained'
                    if name.endswith('.txt') else
                    'something else, which may be your corrections')
            raise ValueError(f"'{path}' holds {held}: choose another --out, "
                             'or give --overwrite.')
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        # the same bytes on every system, so that they can be compared
        (out / name).write_bytes(content.encode())


def main(args: argparse.Namespace) -> None:
    if not osp.exists(args.photos):
        raise FileNotFoundError(f"'{args.photos}' does not exist: name a "
                                'folder or a CSV file.')
    recipe = read_recipe(args)
    root, photos, odd = list_photos(args)
    name = re.sub(r'\W+', '_', Path(root).name).strip('_') or 'photos'
    out = Path(args.out or f'data/{name}_split')
    check_folder(str(out))
    look_at_all(photos, root)
    leave_out_small(photos, args.min_images)
    taken = [photo for photo in photos if not photo.problem]
    if len({photo.label for photo in taken}) < 2:
        raise ValueError(
            f"'{args.photos}' has photos that can be read of fewer than two "
            f'classes; the first left out is {first_problem(photos)}.')
    pairs = divide(args, taken)
    report(photos, taken, odd, pairs)

    counts = count_splits(taken)
    files = {'classes.txt': ''.join(f'{label}\n' for label in counts)}
    labels = {label: i for i, label in enumerate(counts)}
    for split in SPLITS:
        lines = [
            f'{p.path} {labels[p.label]}\n' for p in taken if p.split == split
        ]
        if lines:
            files[f'{split}.txt'] = ''.join(lines)
    files['photos.csv'] = describe_photos(photos)
    files[f'{name}.py'] = write_config(args, recipe, str(out), root, counts)
    write_files(out, files, args.photos, args.overwrite)
    print_commands(out / f'{name}.py')


def first_problem(photos: list[Photo]) -> str:
    return next((f"'{photo.path}' ({photo.problem})"
                 for photo in photos if photo.problem), 'none')


def print_commands(config: Path) -> None:
    """Say how to go on."""
    cfg = Config.fromfile(config)
    tools = osp.relpath(ROOT / 'tools')
    last = f'epoch_{cfg.train_cfg.max_epochs}.pth'
    work_dir = Path('work_dirs', config.stem)
    file, checkpoint, table, page, figures = (
        shlex.quote(str(path))
        for path in (config, work_dir / last, work_dir / 'predictions.csv',
                     work_dir / 'report.html', work_dir / 'figures'))
    explain = f'python {tools}/visualization/explain.py {file} {checkpoint}'
    print(f"""
Wrote {file}, its lists, and photos.csv, in which splits and labels can be
corrected. Go on with:

python {tools}/train.py {file}
python {tools}/test.py {file} {checkpoint} --out {table}
{explain} --classes top2 --report {page}
{explain} --num 4 --format pdf --width-mm 170 --out {figures}
python {tools}/serve.py {file} {checkpoint}""")


if __name__ == '__main__':
    run_tool(main, ARGS)
