from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmpretrain.registry import HOOKS

from intr_mm.utils import detr_to_intr, is_detr, official_to_mmpretrain


@HOOKS.register_module()
class ForeignCheckpointHook(Hook):
    """Lets ``load_from`` take the files that INTR users have.

    A checkpoint of facebookresearch/detr becomes the start of an INTR with
    the config's number of classes; a checkpoint of the official INTR code is
    renamed. What was taken, dropped and left as initialised is logged. Other
    checkpoints pass untouched.

    Args:
        noise_frac (float): Noise on class queries beyond those of DETR, see
            :func:`detr_to_intr`. Defaults to 0.1.
    """

    def __init__(self, noise_frac: float = 0.1) -> None:
        self.noise_frac = noise_frac

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Rename the entries in place before they reach the model.

        Args:
            runner (Runner): The runner that loads.
            checkpoint (dict): The loaded file.
        """
        weights = checkpoint.get('model')
        if not isinstance(weights, dict):
            return
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        dropped = []
        if is_detr(weights):
            kind = 'DETR'
            state_dict, dropped = detr_to_intr(
                weights, model.head.num_classes, noise_frac=self.noise_frac)
        elif 'presence_vector.weight' in weights:
            kind = 'official INTR'
            state_dict = official_to_mmpretrain(weights)
        else:
            return
        fresh = [
            name for name in model.state_dict() if name not in state_dict
            and not name.endswith('num_batches_tracked')
        ]
        runner.logger.info(
            f'{kind} checkpoint: took {len(state_dict)} tensors; dropped '
            f'{dropped or "none"}; left as initialised {fresh or "none"}.')
        checkpoint.clear()
        checkpoint['state_dict'] = state_dict
