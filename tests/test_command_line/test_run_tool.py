"""How tools end."""
import errno
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from functools import partial

import pytest
import torch
from mmpretrain.registry import HOOKS, MODELS
from torch.utils.data import DataLoader

from intr_mm.command_line.run_tool import Stopped, run_tool
from intr_mm.command_line.tool_runner import end_with_log
from intr_mm.models.utils import check_sizes, check_split
from intr_mm_flags import check_folder


@pytest.fixture
def end(monkeypatch, capsys):
    """Runs a main; gives the exit code, or sentence, and the rest."""

    def run(main, *flags, **kwargs):
        monkeypatch.setattr(sys, 'argv', ['tools/tool.py', 'c.py', *flags])
        with pytest.raises(SystemExit) as exit:
            run_tool(main, **kwargs)
        return exit.value.code, capsys.readouterr().err

    return run


def refuse():
    check_split(embed_dims=96, num_heads=5)


def in_worker(fail):

    class Dataset(list):

        def __getitem__(self, index):
            fail()

    return lambda: next(iter(DataLoader(Dataset('a'), num_workers=1)))


def os_error(number):

    def fail():
        raise OSError(number, os.strerror(number), 'some/file')

    return fail


def write_on_full_disk():
    with open('/dev/full', 'w') as f:
        f.write('x')
        f.flush()


def log_file(path):
    """That of a run of ToolRunner."""
    handler = logging.FileHandler(path, encoding='utf-8')
    handler.handleError = partial(end_with_log, handler)
    return handler


def log_on_full_disk():
    logger = logging.Logger('full')
    logger.addHandler(log_file('/dev/full'))
    logger.info('x')


def build(registry, **cfg):
    return lambda: registry.build(cfg)


def talk():
    check_sizes('INTRHead' * 200, num_layers=0)


def typo():
    return {}['no such key']


KNOWN = {
    'ours': (refuse, 'embed_dims=96 cannot be split among num_heads=5; '),
    'ours of flags': (lambda: check_folder(''), 'the folder is empty: name'),
    'long': (talk, 'INTRHead needs a whole number num_layers >= 1, got 0.'),
    'ours in a worker': (in_worker(refuse), 'embed_dims=96 cannot be split'),
    'missing file': (lambda: open('no/such'), "'no/such' does not exist: "),
    'missing in a worker': (in_worker(lambda: open('no/such')), 'no/such'),
    'full disk': (os_error(errno.ENOSPC), "'some/file' does not fit on"),
    'full disk, open file': (write_on_full_disk, "'/dev/full' does not fit"),
    'full disk, log': (log_on_full_disk, "'/dev/full' does not fit on"),
    'other': (os_error(errno.EIO), "'some/file': Input/output error: check"),
    'memory': (lambda: [0] * 2**62, 'not enough memory: lower the batch'),
    'unknown type': (build(MODELS, type='INTRHed'), 'INTRHed'),
    'argument': (build(HOOKS, type='EpochSeedHook',
                       sed=1), 'EpochSeedHook cannot be built with sed=1: '),
    'value': (build(MODELS, type='INTREncoder', in_channels=8,
                    dropout=2.), 'INTREncoder > '),
    'of a library': (lambda: torch.nn.Dropout(2), 'between 0 and 1, but got'),
    'of a tool': (lambda: sys.exit('Nothing to do.'), 'Nothing to do.'),
}


@pytest.mark.parametrize('main, sentence', KNOWN.values(), ids=KNOWN)
def test_known_errors_are_one_sentence(end, main, sentence):
    code, err = end(main)
    assert code.startswith('tool.py: ') and '\n' not in code
    assert len(code) < 600
    assert sentence in code
    assert not err


def test_a_full_disk_says_how_to_go_on(end):
    code, _ = end(write_on_full_disk, resumes=True)
    assert code.endswith('make room; run `python tools/tool.py c.py --resume` '
                         'to go on from the last checkpoint.')


@pytest.mark.parametrize('main', [typo, in_worker(typo)])
def test_other_errors_keep_their_traceback(end, main):
    code, err = end(main)
    assert 'please report it' in code
    assert 'Traceback' in err and "KeyError: 'no such key'" in err


def test_debug_shows_all(end):
    code, err = end(refuse, '--debug')
    assert 'embed_dims=96' in code
    assert 'Traceback' in err and 'in check_split' in err


def test_a_line_that_cannot_be_logged_ends_no_tool(tmp_path, end):
    """Such as a file name that is no Unicode."""

    def log():
        logger = logging.Logger('odd')
        handler = log_file(tmp_path / 'log')
        logger.addHandler(handler)
        logger.info('\udcff')
        handler.close()
        sys.exit('done')

    code, err = end(log)
    assert code == 'tool.py: done' and 'UnicodeEncodeError' in err


def interrupt():
    raise KeyboardInterrupt


def test_sigterm_that_is_dropped_twice(end, monkeypatch):
    """By a library's ``except``, then by Python, as in all destructors."""
    monkeypatch.setitem(run_tool.__globals__, 'STOP_AGAIN', 0.2)
    dropped = []
    monkeypatch.setattr(sys, 'unraisablehook',
                        lambda how: dropped.append(how.exc_type))

    class Terminated:

        def __del__(self):
            with suppress(SystemExit):
                signal.raise_signal(signal.SIGTERM)
            time.sleep(10)

    def main():
        Terminated()
        time.sleep(10)

    assert end(main)[0] == 143
    assert Stopped in dropped


@pytest.mark.parametrize('main, code', [
    (interrupt, 130),
    (lambda: signal.raise_signal(signal.SIGTERM), 143),
])
def test_what_was_stopped_says_how_to_go_on(end, main, code):
    before = signal.getsignal(signal.SIGTERM)
    for resume in ([], ['--resume'], ['--resume', 'a.pth'], ['--resume=a']):
        stopped, err = end(main, *resume, '--amp', resumes=True)
        assert stopped == code
        assert '`python tools/tool.py c.py --amp --resume`' in err
        assert 'Traceback' not in err
    assert '--resume' not in end(main)[1]
    assert signal.getsignal(signal.SIGTERM) is before
