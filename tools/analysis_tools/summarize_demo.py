#!/usr/bin/env python
"""Print what the demo showed, from the metrics that tools/test.py wrote."""
import argparse
from pathlib import Path

from intr_mm_flags import ToolParser


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Summarize the demo',
        'python tools/analysis_tools/summarize_demo.py \\\n'
        '    work_dirs/intr_demo work_dirs/intr_demo_evidence')
    parser.add_argument(
        'work_dir',
        type=Path,
        help='folder with test.json, counterfactual.json and the pictures')
    parser.add_argument(
        'evidence_work_dir',
        type=Path,
        nargs='?',
        help='such a folder of an EvidenceHead, to stand beside the first')
    return parser.parse_args()


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

import cv2
import mmcv
import numpy as np
from mmengine.fileio import load

from intr_mm.command_line import run_tool
from intr_mm.evaluation import verdict

# What the columns "measured", "by area" and "shuffled" stand for.
CONTROLS = ('', '_area', '_shuffled')
POINTING = {
    'attention peaks on the bird': 'pointing/bird',
    'attention peaks on a telling part': 'pointing/telling',
    'margin map peaks where rivals differ': 'margin/differing',
}
FLIPS = {
    'repainting a part flips prediction': 'counterfactual/flips',
    '... and attention had peaked there': 'counterfactual/pointing',
}
COUNTED = 'counterfactual/counted'
COMPARED = {
    'top-1 accuracy': 'accuracy/top1',
    '... with even attention': 'even_attention/top1',
    'the map holds of the margin': 'even_attention/margin',
    'map peaks on the bird': 'pointing/bird',
    'map peaks on a telling part': 'pointing/telling',
    'margin map peaks where rivals differ': 'margin/differing',
    'agrees with the head it learned from': 'teacher/agreement',
    **FLIPS
}


def read_metrics(path: Path, *keys: str) -> dict:
    how = (f'write it with tools/test.py --out {path} --out-item metrics, or '
           'run `make demo`.')
    if not path.is_file():
        raise SystemExit(f'{path} is missing: {how}')
    try:
        metrics = load(path)
    except ValueError as error:
        raise SystemExit(f'{path} is no JSON ({error}): {how}') from error
    for key in keys:
        value = metrics.get(key) if isinstance(metrics, dict) else None
        if not isinstance(value, (int, float)):
            raise SystemExit(f'{path} does not hold the number {key}: {how}')
    return metrics


def judge(figures: dict) -> str:
    chance = figures.get('even_attention/chance')
    return verdict(
        top1=figures.get('accuracy/top1'),
        even_top1=figures.get('even_attention/top1'),
        num_classes=chance and round(100 / chance),
        margin=figures.get('even_attention/margin')).sentence


def print_row(words: str, values: list[float | None]) -> None:
    """Print the figures that there are."""
    if any(value is not None for value in values):
        cells = (' ' * 11 if value is None else f'{value:9.1f} %'
                 for value in values)
        print(f'{words:<37}' + ''.join(cells))


def print_one(figures: dict) -> None:
    print("""
INTR on RingSpecies, test split        measured    by area   shuffled""")
    print_row('top-1 accuracy', [figures.get('accuracy/top1')])
    for words, key in POINTING.items():
        print_row(words, [figures.get(key + control) for control in CONTROLS])
    for words, key in FLIPS.items():
        print_row(words, [figures.get(key)])
    print(f"""
Attention: where the map of the true class, averaged over heads, is highest.
Its controls: a random pixel (by area), and other images' maps (shuffled).
Flips: to exactly the neighbour that was painted, where the original was
recognised ({figures[COUNTED]} pairs).
""")
    if 'even_attention/top1' in figures:
        print(judge(figures), end='\n\n')


def print_both(heads: dict[str, dict]) -> None:
    names = ''.join(f'{name:>11}' for name in heads)
    print(f'\n{"RingSpecies, test split":<37}{names}')
    for words, key in COMPARED.items():
        print_row(words, [figures.get(key) for figures in heads.values()])
        if key.startswith(('pointing', 'margin')):
            for name, control in (('by area', '_area'), ('shuffled',
                                                         '_shuffled')):
                print_row(
                    f'  {name}',
                    [figures.get(key + control) for figures in heads.values()])
    print()
    for name, figures in heads.items():
        print(f'{name}: {judge(figures)}')
    print()


def stack_pictures(paths: list[Path], out: Path) -> None:
    """Draw pictures one below the other, on white."""
    images = [mmcv.imread(str(path)) for path in paths]
    width = max(image.shape[1] for image in images)
    images = [
        mmcv.impad(image, shape=(len(image), width), pad_val=(255, 255, 255))
        for image in images
    ]
    mmcv.imwrite(
        np.concatenate(images), str(out), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def main(args: argparse.Namespace) -> None:
    folders = dict(INTR=args.work_dir, Evidence=args.evidence_work_dir)
    folders = {name: folder for name, folder in folders.items() if folder}
    heads = {
        name: {
            **read_metrics(folder / 'test.json', 'accuracy/top1'),
            **read_metrics(folder / 'counterfactual.json', COUNTED)
        }
        for name, folder in folders.items()
    }
    if len(heads) == 1:
        print_one(heads['INTR'])
    else:
        print_both(heads)
    pictures = {}
    for folder in folders.values():
        last_run = max(folder.glob('test/*/vis_data'), default=folder)
        for picture in sorted(last_run.glob('vis_image/*.png')):
            # the same image, whatever its class and score
            sample = '_'.join(picture.name.split('_')[:3])
            pictures.setdefault(sample, []).append(picture)
    print(
        f'{sum(map(len, pictures.values()))} pictures of where classes look:')
    for picture in sum(pictures.values(), []):
        print(f'  {picture}')
    both = [paths for paths in pictures.values() if len(paths) == 2]
    if both:
        picture = args.evidence_work_dir / 'both_heads.png'
        stack_pictures(both[0], picture)
        print(f'One image through both heads: {picture}')


if __name__ == '__main__':
    run_tool(main, ARGS)
