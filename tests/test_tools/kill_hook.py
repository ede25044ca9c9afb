import os
import signal

from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class KillHook(Hook):
    """Kill the process before a certain iteration, as a power cut would."""

    def __init__(self, iteration: int, rank: int = 0) -> None:
        self.iteration, self.rank = iteration, rank

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if (runner.iter, runner.rank) == (self.iteration, self.rank):
            os.kill(os.getpid(), signal.SIGKILL)
