"""One handler around the ``main`` of every tool.

What went wrong is told in one sentence on stderr, as ``tool: sentence``, with
exit code 1. Errors that nobody foresaw keep their traceback. With ``--debug``
all do.
"""
import builtins
import dis
import errno
import io
import os
import re
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType

from mmengine.fileio import register_backend
from mmengine.registry import build_from_cfg

from intr_mm.checkpoints.writing import AtomicLocalBackend

# Packages whose checks are written for users.
OURS = ('intr_mm', 'intr_mm_flags', 'benchmarks', '__main__')
LIBRARIES = ('mmengine', 'mmpretrain', 'mmcv', 'mmdet', 'torch', 'torchvision',
             'timm', 'PIL')
# What to do about an OSError that nobody gave words.
REMEDIES = {
    errno.ENOENT: 'does not exist: check the path',
    errno.EACCES: 'may not be read or written: check its permissions',
    errno.EPERM: 'may not be read or written: check its permissions',
    errno.EROFS: 'lies on a disk that is read only: choose another place',
    errno.EISDIR: 'is a folder: name a file',
    errno.ENOTDIR: 'lies below a file: choose another place',
    errno.EEXIST: 'exists already: choose another place',
    errno.ENOSPC: 'does not fit on the disk, which is full: make room',
    errno.ENAMETOOLONG: 'is too long a name: choose a shorter one',
}
MAX_LENGTH = 500
# Seconds until a tool that was told to stop, and did not, is told again.
STOP_AGAIN = 5
# What torch says where another process of a distributed run is gone.
DEAD_PEER = re.compile(
    '(closed|reset) by peer|Broken pipe|remote process '
    'exited|gloo.*Timed out', re.I)
# What torch makes of an error in a worker process of a dataloader.
IN_WORKER = re.compile(
    r'Caught (\w+) in .*\nOriginal Traceback [\s\S]*\n  File ".*", line '
    r'\d+, in .*\n *(.*)\n[\s\S]*?^(?:[\w.]+\.)?\1: ([\s\S]*)', re.M)


def run_tool(main: Callable[..., None], *args, resumes: bool = False) -> None:
    """Run a tool and end it with one sentence where it fails.

    Args:
        main: What the tool does.
        *args: Arguments of it.
        resumes: Whether a run that was stopped goes on with ``--resume``.

    Raises:
        SystemExit: With the sentence, which Python prints on stderr, or with
            the exit code 1 after a traceback.
    """
    tool = Path(sys.argv[0]).name
    # whatever MMEngine writes for a tool is whole or not there
    register_backend(
        'LocalBackend', AtomicLocalBackend, force=True, prefixes='')
    try:
        with _stop_on_sigterm():
            main(*args)
    except (KeyboardInterrupt, Stopped) as stop:
        signum = getattr(stop, 'signum', signal.SIGINT)
        if 'TORCHELASTIC_RUN_ID' not in os.environ:  # tools/launch.py says it
            print(
                f'\n{tool}: stopped by {signum.name}{_way_on(resumes)}.',
                file=sys.stderr)
        raise SystemExit(128 + signum) from stop
    except SystemExit as end:
        if isinstance(end.code, str):
            raise SystemExit(f'{tool}: {end.code}') from end
        raise
    except Exception as error:
        sentence = describe_error(error)
        if sentence is not None and _is_disk_full(error):
            sentence = f'{sentence.rstrip(".")}{_way_on(resumes)}.'
        if sentence is not None and '--debug' not in sys.argv:
            raise SystemExit(f'{tool}: {sentence}') from error
        traceback.print_exc()
        if sentence is None:
            sentence = ('this error was not foreseen: please report it with '
                        'the lines above and the command.')
        raise SystemExit(f'{tool}: {sentence}') from error


class Stopped(SystemExit):
    """SIGTERM came; a worker process, which also gets it, ends silently."""
    signum = signal.SIGTERM


@contextmanager
def _stop_on_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that files are closed and workers end.

    Not under torchrun, where a process that waits for another in C would not
    hear it, and whose launcher tells of the end.
    """

    def stop(*_) -> None:
        # and again, as Python drops what is raised in a destructor
        if has_timer:
            signal.setitimer(signal.ITIMER_REAL, STOP_AGAIN)
        raise Stopped(128 + signal.SIGTERM)

    if 'TORCHELASTIC_RUN_ID' in os.environ:
        yield
        return
    has_timer = hasattr(signal, 'setitimer')  # not on Windows
    signals = [signal.SIGTERM, *([signal.SIGALRM] if has_timer else [])]
    before = [signal.signal(number, stop) for number in signals]
    try:
        yield
    finally:
        if has_timer:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip(signals, before):
            signal.signal(number, handler)


def _is_disk_full(error: BaseException | None) -> bool:
    while error is not None and getattr(error, 'errno', 0) != errno.ENOSPC:
        error = error.__cause__
    return error is not None


def _way_on(resumes: bool) -> str:
    """The command that goes on where the run was stopped."""
    if not resumes:
        return ''
    argv = [a for a in sys.argv if not a.startswith('--resume=')]
    if '--resume' in argv:
        place = argv.index('--resume')
        value = argv[place + 1:place + 2]
        del argv[place:place + (2 if value and value[0][:1] != '-' else 1)]
    return ('; run `' + shlex.join(['python', *argv, '--resume']) +
            '` to go on from the last checkpoint')


def describe_error(error: BaseException) -> str | None:
    """What a user should read instead of a traceback.

    Args:
        error: As it was caught, with its traceback.

    Returns:
        One sentence; None if the error is none that was foreseen.
    """
    text = error.args[0] if isinstance(error, KeyError) and error.args else ''
    text = str(text or error).strip()
    cause = error.__cause__
    if type(cause) is type(error) and text.startswith(f'{cause} in <'):
        return describe_error(cause)  # mmengine adds which hook it was
    in_worker = IN_WORKER.match(text)
    if in_worker is not None:
        kind, line, words = in_worker.groups()
        foreseen = line.startswith('raise ') or issubclass(
            getattr(builtins, kind, Exception), OSError)
        return _one_line(words) if foreseen else None
    if isinstance(error, OSError):
        return _describe_os_error(error, text)
    if isinstance(error, MemoryError) or 'out of memory' in text:
        return (
            f'{_one_line(text) or "There is not enough memory"}: lower the '
            'batch size or the size of the images.')
    if isinstance(error, RuntimeError) and DEAD_PEER.search(text):
        return ('another process of this run ended, which says why, or whose '
                f'end the launcher tells ({_one_line(text)}).')
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    package = frames[-1].f_globals.get('__name__', '').split('.')[0]
    said = bool(text) and _ends_in_raise(error.__traceback__)
    if said and package in OURS:
        return _one_line(text)
    builders = [f for f in frames if f.f_code is build_from_cfg.__code__]
    if builders:
        return _describe_building(builders, error, text)
    if said and package in LIBRARIES:
        return f'{_one_line(text)} (--debug shows where {package} says so)'
    return None


def _ends_in_raise(trace: TracebackType) -> bool:
    """Whether somebody wrote the error's words, who foresaw it."""
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code.co_code
    return dis.opname[code[trace.tb_lasti]] == 'RAISE_VARARGS'


def _describe_os_error(error: OSError, text: str) -> str:
    name = error.filename
    if name is None and error.errno == errno.ENOSPC:
        # Writing to an open file does not say which.
        files = [
            value for frame, _ in traceback.walk_tb(error.__traceback__)
            for value in frame.f_locals.values()
            if isinstance(value, io.IOBase)
        ]
        name = getattr(files[-1], 'name', None) if files else None
    if name is None:
        return _one_line(text)
    if error.errno in REMEDIES:
        return f"'{name}' {REMEDIES[error.errno]}."
    return f"'{name}': {error.strerror}: check the path."


def _describe_building(builders: list[FrameType], error: Exception,
                       text: str) -> str:
    """Name the parts of the config that failed, and the last one's arguments.
    """
    parts = [
        frame.f_locals.get('obj_cls') or frame.f_locals['cfg'].get('type')
        for frame in builders
    ]
    names = [str(getattr(part, '__name__', part)) for part in parts]
    arguments = ', '.join(
        f'{key}={value!r}'
        for key, value in builders[-1].f_locals.get('args', {}).items()
        if isinstance(value, (int, float, str, tuple)))
    return (f'{" > ".join(names)} cannot be built with {_one_line(arguments)}:'
            f' {type(error).__name__}: {_one_line(text)}; check these '
            'arguments in the config, --debug shows where it fails.')


def _one_line(text: str) -> str:
    text = ' '.join(text.split())
    if len(text) <= MAX_LENGTH:
        return text
    # what to do stands at the end
    return f'{text[:MAX_LENGTH - 150]} ... {text[-150:]}'
