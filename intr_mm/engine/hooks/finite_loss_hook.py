import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint
from mmpretrain.registry import HOOKS

from ..model_utils import unwrap_model


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop at the first loss that is infinite or NaN.

    The error names the iteration and the images of the batch. No checkpoint
    is written with weights that are not finite, so the last one is good.
    """

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Check the loss.

        Args:
            runner: The runner of the training process.
            batch_idx: The index of the current batch in the train loop.
            data_batch: Data from dataloader.
            outputs: Losses from the model.

        Raises:
            FloatingPointError: The loss is infinite or NaN.
        """
        loss = outputs['loss'].detach()
        if not torch.isfinite(loss):
            images = ', '.join(
                str(
                    sample.get('img_path',
                               f"sample {sample.get('sample_idx')}"))
                for sample in data_batch['data_samples'])
            raise FloatingPointError(
                f'Loss is {loss.item()} in iteration {runner.iter + 1} (epoch '
                f'{runner.epoch + 1}) for the images {images}: look at them '
                f'or lower the learning rate, {self._way_on(runner)}.')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the weights, which a finite loss may have spoilt all the same.

        Args:
            runner: The runner of the training process.
            checkpoint: What is about to be saved.

        Raises:
            FloatingPointError: A weight is infinite or NaN.
        """
        for name, param in unwrap_model(runner.model).named_parameters():
            if not torch.isfinite(param).all():
                raise FloatingPointError(
                    f"Weight '{name}' is not finite after iteration "
                    f'{runner.iter}, so no checkpoint is written: lower the '
                    f'learning rate, {self._way_on(runner)}.')

    @staticmethod
    def _way_on(runner: Runner) -> str:
        last = find_latest_checkpoint(runner.work_dir)
        if last is None:
            return 'and start again, as there is no checkpoint yet'
        return f"and go on from '{last}' with --resume"
