import re

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner, find_latest_checkpoint
from mmpretrain.registry import HOOKS
from torch import nn

from ..model_utils import unwrap_model


@HOOKS.register_module()
class CheckpointCheckHook(Hook):
    """Refuse checkpoints that do not fit the model.

    MMEngine logs a warning and goes on with random weights. Here, a
    checkpoint to test or to resume has to fit in every weight. One to start
    training from (``load_from``) may differ, as a new class count does, but
    has to share weights with the model.
    """

    # after hooks that rewrite checkpoints, such as ForeignCheckpointHook
    priority = 'VERY_LOW'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check a checkpoint.

        Args:
            runner: The runner of the process.
            checkpoint: What the file holds.

        Raises:
            ValueError: The checkpoint is of another kind or shape.
        """
        name = runner._load_from or find_latest_checkpoint(runner.work_dir)
        problem = self._find_problem(runner, checkpoint)
        if problem is not None:
            raise ValueError(f"Checkpoint '{name}' {problem}.")

    def _find_problem(self, runner: Runner, checkpoint: dict) -> str | None:
        model = unwrap_model(runner.model)
        state_dict = {
            re.sub(r'^module\.', '', key): value
            for key, value in checkpoint.get('state_dict', checkpoint).items()
        }
        if not state_dict.keys() & model.state_dict().keys():
            return ('shares no weight with the model: give a checkpoint of '
                    f'{type(model).__name__}')
        if runner._resume and not {'meta', 'optimizer'} <= checkpoint.keys():
            return ('holds weights but no training state to resume: start '
                    'from it with `--cfg-options load_from=...` instead of '
                    '--resume')
        is_training = isinstance(runner.optim_wrapper, OptimWrapper)
        if runner._resume or not is_training:
            return self._find_difference(model, state_dict, checkpoint)
        return None

    @staticmethod
    def _find_difference(model: nn.Module, state_dict: dict,
                         checkpoint: dict) -> str | None:
        meta = checkpoint.get('meta', {}).get('dataset_meta') or {}
        classes = meta.get('classes')
        num_classes = getattr(
            getattr(model, 'head', None), 'num_classes', None)
        if None not in (classes, num_classes) and len(classes) != num_classes:
            return (f'was trained on {len(classes)} classes but '
                    f'model.head.num_classes is {num_classes}: use its own '
                    'config, or set `--cfg-options model.head.num_classes='
                    f'{len(classes)}`')
        try:
            model.load_state_dict(state_dict)
        except RuntimeError as error:
            first, *others = str(error).strip().split('\n\t')[1:]
            more = f' and {len(others)} more' if others else ''
            return (f'does not fit the model ({first.strip().rstrip(". ")}'
                    f'{more}): use the config it was trained with')
        return None
