#!/usr/bin/env python
"""torchrun that says in one sentence how a run ended.

    python tools/launch.py [flags of torchrun] TOOL [flags of the tool]

``dist_train.sh`` and ``dist_test.sh`` start it, and pass their own command in
``LAUNCH_COMMAND``.
"""
import logging
import os
import signal
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main


def way_on() -> str:
    """The command that goes on where a training ended."""
    command = os.environ.get('LAUNCH_COMMAND', '').strip()
    if not any(arg.endswith('train.py') for arg in sys.argv) or not command:
        return ''
    if '--resume' not in command.split():
        command += ' --resume'
    return f'; run `{command}` to go on from the last checkpoint'


def how(exit_code: int) -> str:
    if exit_code < 0:
        return f'was ended by {signal.Signals(-exit_code).name}'
    return f'ended with exit code {exit_code}, see above for why'


def launch() -> None:
    logging.disable(logging.ERROR)  # what torchrun logs is said below
    try:
        main()
    except ChildFailedError as error:
        # that of a killed process breaks the connections of the others
        rank, failure = min(
            error.failures.items(), key=lambda item: item[1].exitcode > 0)
        raise SystemExit(
            f'launch.py: process {rank} (pid {failure.pid}) '
            f'{how(failure.exitcode)}, and the others were stopped'
            f'{way_on()}.') from error
    except (SignalException, KeyboardInterrupt) as stop:
        signum = getattr(stop, 'sigval', signal.SIGINT)
        print(
            f'\nlaunch.py: stopped by {signal.Signals(signum).name}'
            f'{way_on()}.',
            file=sys.stderr)
        raise SystemExit(128 + signum) from stop


if __name__ == '__main__':
    launch()
