#!/usr/bin/env python
"""Measure speed and RAM of INTR, alone or beside the official code.

    python tools/analysis_tools/benchmark.py --official DIR

DIR is a checkout of github.com/Imageomics/INTR; ``benchmarks/README.md`` says
how it is measured.
"""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

if __name__ == '__main__':
    if not (ROOT / 'benchmarks').is_dir():
        raise SystemExit(
            'benchmark.py: the benchmark is no part of an installed '
            'intr_mm: run benchmark.py in a checkout of it.')
    sys.path.insert(0, str(ROOT))
    from benchmarks.flags import parse_args
    args = parse_args()

    from benchmarks.run import main
    from intr_mm.command_line import run_tool
    run_tool(main, args)
