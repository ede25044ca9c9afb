from functools import partial

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner, set_random_seed
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Make the randomness of an epoch a function of seed, epoch and rank.

    A resumed run begins at the start of an epoch. With this hook and a fixed
    ``randomness.seed`` it repeats augmentation and dropout of the unbroken
    run from there on; MMEngine does so for the order of the samples alone.
    Loops by iteration consist of one epoch, and are seeded once.

    The data loading workers are started anew each epoch, because the random
    state of a running worker cannot be set.
    """

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
