#!/usr/bin/env python
"""Measure speed and RAM of INTR, alone or beside the official code.

    python tools/analysis_tools/benchmark.py --official DIR

DIR is a checkout of github.com/Imageomics/INTR; ``benchmarks/README.md`` says
how it is measured.
"""
import sys
from pathlib import Path

from intr_mm.command_line import run_tool

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    if not (ROOT / 'benchmarks').is_dir():
        raise SystemExit('The benchmark is no part of an installed intr_mm: '
                         f'run {Path(__file__).name} in a checkout of it.')
    sys.path.insert(0, str(ROOT))
    from benchmarks.run import main
    main()


if __name__ == '__main__':
    run_tool(main)
