"""What a log hears of a long loop."""
import io
import sys
import time

import pytest
from mmengine.logging import MMLogger

from intr_mm.progress import track


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only as a test says."""
    now = [0.]
    monkeypatch.setattr(time, 'monotonic', lambda: now[0])
    return now


def follow(clock, caplog, total, seconds):
    """Lines of a loop whose steps take so long each."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.clear()
    try:
        for i, item in enumerate(track(range(total), 'Reading', total)):
            assert item == i
            clock[0] += seconds
    finally:
        logger.removeHandler(caplog.handler)
    return caplog.messages


def test_lines_of_a_log(clock, caplog, capfd):
    lines = follow(clock, caplog, 1000, 3)
    assert lines[:2] == [
        'Reading: 4/1000 images, about 50 min left',
        'Reading: 100/1000 images, about 45 min left'
    ]
    assert lines[-2:] == [
        'Reading: 900/1000 images, about 5 min left',
        'Reading: 1000/1000 images, 50 min'
    ]
    assert len(lines) == 11
    lines = follow(clock, caplog, 3, 60)
    assert lines == [
        'Reading: 1/3 images, about 2 min left',
        'Reading: 2/3 images, about 60 s left', 'Reading: 3/3 images, 3 min'
    ]
    assert follow(clock, caplog, 9, 1) == []
    assert len(follow(clock, caplog, 10, 36000)) == 10
    assert '\r' not in ''.join(capfd.readouterr())


def test_a_short_loop_is_told_of_every_ten_seconds(clock, caplog):
    assert follow(clock, caplog, 25, 1) == [
        'Reading: 10/25 images, about 15 s left',
        'Reading: 20/25 images, about 5 s left'
    ]


class Terminal(io.StringIO):

    def isatty(self):
        return True


def test_a_terminal_has_a_bar(monkeypatch):
    """Which moves: that of mmpretrain stays at 0 %."""
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setattr(sys, 'stdout', Terminal())
    for _ in track(range(2), 'Reading', 2):
        time.sleep(.2)
    assert 'Reading' in sys.stdout.getvalue()
    assert '100%' in sys.stdout.getvalue()


def test_other_processes_are_silent(clock, caplog, monkeypatch):
    monkeypatch.setattr('intr_mm.progress.is_main_process', lambda: False)
    assert follow(clock, caplog, 100, 3) == []
