#!/usr/bin/env python
"""Print what the demo showed, from the metrics that tools/test.py wrote."""
import argparse
from pathlib import Path

from mmengine.fileio import load


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Summarize the demo')
    parser.add_argument(
        'work_dir',
        type=Path,
        help='folder with test.json, counterfactual.json and the pictures')
    return parser.parse_args()


def read_metrics(path: Path) -> dict:
    if not path.is_file():
        raise SystemExit(f'{path} is missing: write it with tools/test.py '
                         f'--out {path} --out-item metrics, or run `make '
                         'demo`.')
    return load(path)


def main():
    work_dir = parse_args().work_dir
    test = read_metrics(work_dir / 'test.json')
    flips = read_metrics(work_dir / 'counterfactual.json')
    last_run = max(work_dir.glob('test/*/vis_data'), default=work_dir)
    pictures = sorted(last_run.glob('vis_image/*.png'))

    print(f"""
INTR on RingSpecies, test split        measured   by area   shuffled
top-1 accuracy                       {test['accuracy/top1']:9.1f} %""")
    for region, words in (('bird', 'on the bird'), ('telling',
                                                    'on a telling part')):
        rate, area, shuffled = (
            test[f'pointing/{region}{control}']
            for control in ('', '_area', '_shuffled'))
        print(f'attention peaks {words:<20} {rate:9.1f} %{area:8.1f} %'
              f'{shuffled:9.1f} %')
    print(f"""\
repainting a part flips prediction   {flips['counterfactual/flips']:9.1f} %
... and attention had peaked there   {flips['counterfactual/pointing']:9.1f} %

Attention: where the map of the true class, averaged over heads, is highest.
Its controls: a random pixel (by area), and other images' maps (shuffled).
Flips: to exactly the neighbour that was painted, where the original was
recognised ({flips['counterfactual/counted']} pairs).
""")
    print(f'{len(pictures)} pictures of where classes look:')
    for picture in pictures:
        print(f'  {picture}')


if __name__ == '__main__':
    main()
