"""The work folder of a run: who writes there, and where a run goes on."""
import logging
import os
import os.path as osp
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from glob import escape, glob

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.utils import mkdir_or_exist

from .integrity import verify_file
from .writing import remove_parts

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextmanager
def locked(path: str, wait: bool = True) -> Iterator[bool]:
    """Keep other processes out, up to the end of the block or the process.

    Unlike those of other libraries, this lock is not handed down to the
    workers of a dataloader, which outlive a killed process by seconds.

    Args:
        path: File to make for it.
        wait: Whether to wait for a process that holds it.

    Yields:
        Whether it is held; True as well where the file system has no locks.
    """
    with open(path, 'a') as f:
        held = True
        if fcntl is not None:
            try:
                fcntl.lockf(f, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except (BlockingIOError, PermissionError):
                held = False
            except OSError:
                pass
        yield held


@contextmanager
def claim_work_dir(work_dir: str) -> Iterator[None]:
    """Keep a work folder for one run.

    Args:
        work_dir: Path.

    Raises:
        RuntimeError: Another run writes there.
        OSError: Nothing can be written there.
    """
    if _rank() > 0:  # the first process stands for all
        yield
        return
    with ExitStack() as stack:
        try:
            mkdir_or_exist(work_dir)
            held = stack.enter_context(
                locked(osp.join(work_dir, '.lock'), wait=False))
        except OSError as error:
            raise OSError(f"Work folder '{work_dir}' cannot be written to "
                          f'({error.strerror}): choose another by --work-dir.'
                          ) from error
        if not held:
            raise RuntimeError(
                f"Another run is training in '{work_dir}': wait for its end, "
                'or choose another folder by --work-dir.')
        remove_parts(work_dir)
        yield


def choose_start(cfg: Config,
                 load_from: str | None = None,
                 overwrite: bool = False) -> None:
    """Find what a run resumes from, and keep it from writing over another.

    Args:
        cfg: Full config, of which ``resume`` and ``load_from`` are set.
        load_from: Where a run starts that finds nothing to resume.
        overwrite: Whether a run may start anew in the folder of another.

    Raises:
        FileExistsError: The folder holds checkpoints of another run.
        RuntimeError: None of the checkpoints to resume from is whole.
    """
    resume = cfg.get('resume', False)
    if resume and cfg.get('load_from') is not None:
        return
    found = list(_find_checkpoints(cfg.work_dir))
    if not resume:
        if found and not overwrite:
            raise FileExistsError(
                f"Work folder '{cfg.work_dir}' holds checkpoints of a run, "
                f"such as '{found[0]}': go on with --resume, choose another "
                'folder by --work-dir, or write over them with --overwrite.')
        return
    for path in found:
        try:
            if '://' not in path:
                verify_file(path)
        except (OSError, RuntimeError) as error:
            print_log(f'{error} It is passed over.', 'current',
                      logging.WARNING)
        else:
            print_log(f"Resuming from '{path}'.", 'current')
            cfg.load_from = path
            return
    if found:
        raise RuntimeError(
            f"None of the {len(found)} checkpoints in '{cfg.work_dir}' is "
            'whole, so there is nothing to resume: start anew with '
            '--overwrite instead of --resume.')
    print_log(
        f"There is nothing to resume in '{cfg.work_dir}', so training starts "
        'from the beginning.', 'current', logging.WARNING)
    cfg.resume, cfg.load_from = False, load_from


def _find_checkpoints(work_dir: str) -> Iterator[str]:
    """Checkpoints that a run can be resumed from, the best choice first."""
    last, folder = None, work_dir
    try:
        with open(osp.join(work_dir, 'last_checkpoint')) as f:
            last = f.read(4096).strip()
    except (OSError, UnicodeDecodeError):
        pass  # a run that was killed early, or damage
    if last:
        # the folder may have been moved, and the path in it names the old one
        moved = osp.join(work_dir, osp.basename(last))
        if osp.isfile(moved) or not ('://' in last or osp.isfile(last)):
            last = moved
        else:
            folder = osp.dirname(last)
        if '://' in last or osp.isfile(last):
            yield last
    others = []
    for path in glob(osp.join(escape(folder), '*.pth')):
        # those of AtomicCheckpointHook that hold a training state
        number = re.fullmatch(r'(?:epoch|iter)_(\d+)\.pth', osp.basename(path))
        if number is not None and path != last:
            others.append((int(number[1]), path))
    for _, path in sorted(others, reverse=True):
        yield path


def _rank() -> int:
    """Number of this process among those that train together."""
    names = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')
    return next((int(os.environ[n]) for n in names if n in os.environ), 0)
