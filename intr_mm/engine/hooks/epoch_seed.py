import logging
from functools import partial

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner, set_random_seed
from mmpretrain.registry import HOOKS
from torch import nn


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Make an epoch a function of the weights that it begins with, of seed,
    epoch and rank.

    A resumed run begins at the start of an epoch. With this hook and a fixed
    ``randomness.seed`` it repeats augmentation and dropout of the unbroken
    run from there on; MMEngine does so for the order of the samples alone.
    Loops by iteration consist of one epoch, and are seeded once.

    An epoch ends with a step of the optimizer, also where its iterations are
    no multiple of ``optim_wrapper.accumulative_counts``, as MMEngine ends a
    training: no checkpoint holds the gradients that the next epoch would
    begin with. Loops by iteration are left as they are.

    The data loading workers are started anew each epoch, because the random
    state of a running worker cannot be set.
    """

    def before_run(self, runner: Runner) -> None:
        """Keep MMEngine from warning of lost gradients where none are."""
        # of which a test builds none
        if isinstance(runner._train_loop, EpochBasedTrainLoop):
            runner.logger.addFilter(_is_true)

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed this process and the workers to come."""
        # neighbouring seeds would give worker 1 of an epoch what worker 0
        # has in the next
        sequence = np.random.SeedSequence((runner.seed, runner.epoch))
        seed = int(sequence.generate_state(1)[0]) // 2
        set_random_seed(seed, diff_rank_seed=True)
        loader = runner.train_dataloader
        if isinstance(loader.worker_init_fn, partial):
            loader.worker_init_fn = partial(loader.worker_init_fn, seed=seed)
        loader._iterator = None
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            # of a model with batch normalisation, it would warn in each epoch
            runner.optim_wrapper.initialize_count_status(
                nn.Identity(), 0, len(loader))


def _is_true(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith('Resumed iteration number is')
