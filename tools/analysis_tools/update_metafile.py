#!/usr/bin/env python
"""Write FLOPs and parameters of all configs into configs/metafile.yml.

The rest of the file, comments included, stays as it is. With ``--check``
nothing is written, and the exit code tells whether all figures are right.
"""
import argparse
import difflib
import re
import sys
from pathlib import Path

from intr_mm_flags import ToolParser


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Write FLOPs and parameters into configs/metafile.yml',
        'python tools/analysis_tools/update_metafile.py --check')
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing, and fail if a figure is wrong')
    return parser.parse_args()


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds
    # where get_flops is, also if this runs by `python -m`
    sys.path.insert(0, str(Path(__file__).resolve().parent))

from get_flops import count_config
from mmengine.config import Config

from intr_mm.command_line import run_tool

ROOT = Path(__file__).resolve().parents[2]
METAFILE = ROOT / 'configs' / 'metafile.yml'


def update(text: str) -> str:
    """Put the figures of each entry first into its ``Metadata``."""
    text = re.sub(r'^      (?:FLOPs|Parameters): .*\n', '', text, flags=re.M)
    head, *entries = re.split(r'^(?=  - Name: )', text, flags=re.M)
    return head + ''.join(map(update_entry, entries))


def update_entry(entry: str) -> str:
    config = re.search(r'^    Config: (\S+)', entry, re.M)
    if config is None:
        return entry
    cfg = Config.fromfile(ROOT / config[1])
    if cfg.model.head.num_classes is None:
        return entry
    _, flops, parameters = count_config(cfg)
    return entry.replace(
        '    Metadata:\n', '    Metadata:\n'
        f'      FLOPs: {sum(flops.values())}\n'
        f'      Parameters: {sum(parameters.values())}\n')


def main(args: argparse.Namespace) -> None:
    old = METAFILE.read_text(encoding='utf-8')
    new = update(old)
    if not args.check:
        METAFILE.write_text(new, encoding='utf-8')
    elif new != old:
        print(
            *difflib.unified_diff(
                old.splitlines(), new.splitlines(), n=4, lineterm=''),
            sep='\n')
        raise SystemExit(f'{METAFILE} is out of date: run '
                         'tools/analysis_tools/update_metafile.py.')


if __name__ == '__main__':
    run_tool(main, ARGS)
