#!/usr/bin/env python
"""torchrun for ``dist_train.sh`` and ``dist_test.sh``, which says in one
sentence how a run ended.

    python tools/launch.py train CONFIG PROCESSES_PER_NODE [flags of train.py]
    python tools/launch.py test CONFIG CHECKPOINT PROCESSES_PER_NODE [flags]

``NNODES``, ``NODE_RANK``, ``MASTER_ADDR`` and ``PORT`` are read from the
environment. The scripts pass their own command in ``LAUNCH_COMMAND``.
``train.py --help`` and ``test.py --help`` list the flags.
"""
import logging
import os
import re
import signal
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
# what stands before the number of processes
POSITIONAL = dict(train=['CONFIG'], test=['CONFIG', 'CHECKPOINT'])


def torchrun_args(tool: str, args: list[str]) -> list[str]:
    """What torchrun is called with.

    Raises:
        SystemExit: The arguments are wrong, or the config is not there.
    """
    count = len(POSITIONAL[tool])
    script = f'dist_{tool}.sh'
    if len(args) <= count or not re.fullmatch(r'[1-9]\d*|auto|cpu|gpu',
                                              args[count]):
        names = ' '.join([*POSITIONAL[tool], 'PROCESSES_PER_NODE'])
        print(
            f"Usage: tools/{script} {names} [flags], got '{' '.join(args)}': "
            'give all of them, the processes as a number.',
            file=sys.stderr)
        raise SystemExit(2)
    if not os.path.isfile(args[0]):
        raise SystemExit(
            f"{script}: config '{args[0]}' does not exist: check the path.")
    get = os.environ.get
    nodes = get('NNODES', '1')
    # several nodes have to agree on a port, one takes what is free
    port = get('PORT') or (free_port() if nodes == '1' else '29500')
    return [
        f'--nnodes={nodes}', f"--node_rank={get('NODE_RANK', '0')}",
        f"--master_addr={get('MASTER_ADDR', '127.0.0.1')}",
        f'--nproc_per_node={args[count]}', f'--master_port={port}',
        str(TOOLS / f'{tool}.py'), *args[:count], '--launcher', 'pytorch',
        *args[count + 1:]
    ]


def free_port() -> str:
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return str(sock.getsockname()[1])


def use_prepared_python() -> None:
    """Go on in the environment that `make` sets up, where this one has no
    MMEngine."""
    prepared = TOOLS.parent / '.venv' / 'bin' / 'python'
    if find_spec('mmengine') is None and prepared.exists():
        os.execv(prepared, [str(prepared), *sys.argv])


def way_on() -> str:
    """The command that goes on where a training ended."""
    command = os.environ.get('LAUNCH_COMMAND', '').strip()
    if sys.argv[1] != 'train' or not command:
        return ''
    if '--resume' not in command.split():
        command += ' --resume'
    return f'; run `{command}` to go on from the last checkpoint'


def how(exit_code: int) -> str:
    if exit_code < 0:
        return f'was ended by {signal.Signals(-exit_code).name}'
    return f'ended with exit code {exit_code}, see above for why'


def launch(args: list[str]) -> None:
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import \
        ChildFailedError
    from torch.distributed.run import main

    logging.disable(logging.ERROR)  # what torchrun logs is said below
    try:
        main(args)
    except ChildFailedError as error:
        # that of a killed process breaks the connections of the others
        rank, failure = min(
            error.failures.items(), key=lambda item: item[1].exitcode > 0)
        raise SystemExit(
            f'launch.py: process {rank} (pid {failure.pid}) '
            f'{how(failure.exitcode)}, and the others were stopped'
            # that of a wrong flag is 2
            f'{way_on() if failure.exitcode != 2 else ""}.') from error
    except (SignalException, KeyboardInterrupt) as stop:
        signum = getattr(stop, 'sigval', signal.SIGINT)
        print(
            f'\nlaunch.py: stopped by {signal.Signals(signum).name}'
            f'{way_on()}.',
            file=sys.stderr)
        raise SystemExit(128 + signum) from stop


if __name__ == '__main__':
    if {'-h', '--help'}.intersection(sys.argv):
        print(__doc__)
        raise SystemExit
    if sys.argv[1:2] not in ([name] for name in POSITIONAL):
        print(__doc__, file=sys.stderr)
        raise SystemExit(2)
    tool_args = torchrun_args(sys.argv[1], sys.argv[2:])
    use_prepared_python()
    path = os.environ.get('PYTHONPATH')
    os.environ['PYTHONPATH'] = os.pathsep.join(
        [str(TOOLS.parent), *([path] if path else [])])
    launch(tool_args)
