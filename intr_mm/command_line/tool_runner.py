"""MMEngine's runner, with a short screen and a full log file."""
import logging
import re
import sys
from functools import partial

from mmengine.hooks import LoggerHook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

# Messages that would push what a user looks for off the screen, and of
# warnings those that name nothing a user could change.
_FILE_ONLY = re.compile(
    'System environment:'  # 60 lines
    '|Config:\n'  # hundreds, and the folder holds the config itself
    '|Hooks will be executed in the following order'  # 80 lines
    '|paramwise_options -- '  # one line for each parameter
    '|.* is skipped since its requires_grad='  # another for each frozen one
    '|Distributed training is not used, all SyncBatchNorm'  # seldom any
    # MMEngine's words on its own calls
    '|"FileClient" will be deprecated|"HardDiskBackend" is the alias')


class ToolRunner(Runner):
    """Runner of the tools, whose log file alone takes environment, config,
    hooks and options of single parameters, and whose tests log after each
    tenth of the batches if not more often."""

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """See :meth:`mmengine.runner.Runner.build_logger`."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler):
                logger.info('Environment, config and hooks are in '
                            f'{handler.baseFilename}.')
                handler.handleError = partial(end_with_log, handler)
            else:
                handler.addFilter(_for_the_screen)
        return logger

    def test(self) -> dict:
        """See :meth:`mmengine.runner.Runner.test`."""
        tenth = -(-len(self.test_loop.dataloader) // 10)
        for hook in self.hooks:
            if isinstance(hook, LoggerHook):
                hook.interval = min(hook.interval, tenth)
        return super().test()


def _for_the_screen(record: logging.LogRecord) -> bool:
    return _FILE_ONLY.match(record.getMessage().lstrip('\n-')) is None


def end_with_log(handler: logging.FileHandler,
                 record: logging.LogRecord) -> None:
    """Name the log that cannot be written, where Python prints a traceback
    for each line and goes on without."""
    error = sys.exc_info()[1]
    if not isinstance(error, OSError):
        logging.Handler.handleError(handler, record)
        return
    raise OSError(error.errno, error.strerror, handler.baseFilename) from error
