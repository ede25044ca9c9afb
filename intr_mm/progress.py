"""How far a long loop is: a bar on a terminal, a few lines in a log."""
import sys
import time
from collections.abc import Iterable, Iterator

from mmengine.dist import is_main_process
from mmengine.logging import print_log
from rich.progress import track as draw_bar

# Seconds between two lines of a log; shorter loops pass in silence.
SILENCE = 10


def track(items: Iterable,
          doing: str,
          total: int,
          what: str = 'images') -> Iterator:
    """Yield items, and tell how long the rest will take.

    On a terminal this is rich's bar, as mmpretrain's stays at 0 % with rich
    15. A file or a pipe would have nothing of it before the end. They get a
    line for each tenth, but none within ten seconds of another: 11 at most.

    Args:
        items: What to go through, in the main process of several.
        doing: What is done with them.
        total: Their number.
        what: What they are.
    """
    if not is_main_process():
        yield from items
        return
    if sys.stdout.isatty():
        yield from draw_bar(items, doing, total)
        return
    start = last = time.monotonic()
    told = None
    for done, item in enumerate(items, 1):
        yield item
        now, tenth = time.monotonic(), 10 * done // total
        if now - last < SILENCE or tenth == told:
            continue
        last, told, spent = now, tenth, now - start
        left = _span(spent / done * (total - done))
        ending = f'about {left} left' if done < total else _span(spent)
        print_log(f'{doing}: {done}/{total} {what}, {ending}', 'current')


def _span(seconds: float) -> str:
    if seconds < 90:
        return f'{seconds:.0f} s'
    minutes = seconds / 60
    return f'{minutes:.0f} min' if minutes < 90 else f'{minutes / 60:.1f} h'
