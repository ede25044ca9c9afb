import logging

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from intr_mm.utils import adapt_foreign
from ..model_utils import unwrap_model


@HOOKS.register_module()
class ForeignCheckpointHook(Hook):
    """Lets ``load_from`` take checkpoints of DETR and of the official INTR
    code as they are.

    DETR's weights, in the formats of facebookresearch, MMDetection and
    transformers, become the start of an INTR with the config's number of
    classes. What was taken, dropped and initialised is logged. Other
    checkpoints pass untouched.

    Args:
        noise_frac: Noise on class queries beyond those of DETR, see
            :func:`intr_mm.utils.class_queries`.
        seed: Seed of that noise, the same on every process.
    """

    def __init__(self, noise_frac: float = 0.1, seed: int = 0) -> None:
        self.noise_frac = noise_frac
        self.seed = seed

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Convert the weights in place before they reach the model.

        Args:
            runner: The runner that loads.
            checkpoint: The loaded file.

        Raises:
            ValueError: The weights are those of a relative of DETR.
        """
        model = unwrap_model(runner.model)
        try:
            foreign = adapt_foreign(checkpoint, model, self.noise_frac,
                                    self.seed)
        except ValueError as error:
            raise ValueError(f"Checkpoint '{runner._load_from}' cannot be "
                             f'taken: {error}.') from None
        if foreign is None:
            return
        # A backbone that DETR does not have stays as its init_cfg says.
        whole = all(name.startswith('head.presence') for name in foreign.fresh)
        runner.logger.log(logging.INFO if whole else logging.WARNING,
                          f"load_from '{runner._load_from}', {foreign}")
        checkpoint.clear()
        checkpoint['state_dict'] = foreign.state_dict
