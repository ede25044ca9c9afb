import os
import runpy
import sys
from pathlib import Path

import pytest
import torch

import intr_mm  # noqa: F401, registers the parts that tests build by name
from .browser import CHROMEDRIVER, CHROMIUM
from .tiny import ROOT, write_images

# Workers of pytest share the cores.
torch.set_num_threads(1)
os.environ.setdefault('OMP_NUM_THREADS', '1')
REQUIRE_BROWSER = os.environ.get('REQUIRE_BROWSER', '') not in ('', '0')


@pytest.fixture(scope='session')
def images(tmp_path_factory):
    """Folder of the images that ``tests/data/tiny_intr.py`` trains on."""
    root = tmp_path_factory.mktemp('images')
    write_images(root)
    return root


@pytest.fixture
def run_tool(monkeypatch):
    """Runs a file of ``tools`` in this process, with arguments."""

    def run(name, *args):
        path = str(ROOT / 'tools' / name)
        monkeypatch.setattr(sys, 'argv', [path, *map(str, args)])
        # where Python looks first when it runs a file
        monkeypatch.syspath_prepend(str(Path(path).parent))
        runpy.run_path(path, run_name='__main__')

    return run


def pytest_runtest_setup(item):
    if 'browser' in item.keywords and not (CHROMIUM and CHROMEDRIVER):
        pytest.skip('chromium and chromedriver are not installed')


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Let a browser test that is skipped fail under ``REQUIRE_BROWSER=1``."""
    report = yield
    if REQUIRE_BROWSER and report.skipped and 'browser' in item.keywords:
        report.outcome = 'failed'
        report.longrepr = ('REQUIRE_BROWSER is set, but this test was skipped:'
                           f' {report.longrepr[2]}')
    return report


def pytest_terminal_summary(terminalreporter):
    """Say how many browser tests ran, and what tests measured."""
    in_browser = {
        outcome:
        sum('browser' in getattr(report, 'keywords', ())
            for report in terminalreporter.getreports(outcome))
        for outcome in ('passed', 'failed', 'error', 'skipped')
    }
    if any(in_browser.values()):
        ran = in_browser['passed'] + in_browser['failed']
        terminalreporter.section('browser tests')
        terminalreporter.write_line(f'{ran} of {sum(in_browser.values())} ran')

    properties = [
        item for report in terminalreporter.getreports('passed')
        for item in report.user_properties
    ]
    rows = [value for key, value in properties if key == 'parity']
    if rows:
        terminalreporter.section(
            f'DETR converter, largest difference, torch {torch.__version__}')
        for name, encoder, decoder in rows:
            terminalreporter.write_line(
                f'{name:42} encoder {encoder:.1e}   decoder {decoder:.1e}')
    refusals = [value for key, value in properties if key == 'refusal']
    if refusals:
        terminalreporter.section('refused files')
        for refusal in refusals:
            terminalreporter.write_line(refusal)
