from numbers import Integral

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint
from mmpretrain.registry import HOOKS
from torch.utils.data import Dataset

from ..model_utils import unwrap_model


@HOOKS.register_module()
class DatasetCheckHook(Hook):
    """Check that each dataset has the classes of the head, and that its
    labels are among them, before the first batch is drawn.

    Models whose head has no ``num_classes``, datasets that do not name their
    classes and labels that are no integers are not checked.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the training set, and the validation set if there is one.

        Raises:
            ValueError: Classes or labels do not fit the head or each other.
        """
        self._check(runner, 'train_dataloader')
        if runner.val_loop is None:
            return
        self._check(runner, 'val_dataloader')
        train = _classes(runner.train_dataloader.dataset)
        val = _classes(runner.val_dataloader.dataset)
        if train is not None and val is not None and train != val:
            pair = next(pair for pair in zip(train, val) if len(set(pair)) > 1)
            raise ValueError(
                f"Class '{pair[0]}' of train_dataloader is '{pair[1]}' in "
                'val_dataloader: give both the same class folders or '
                '`metainfo.classes`.')

    def before_test(self, runner: Runner) -> None:
        """Check the test set.

        Raises:
            ValueError: Classes or labels do not fit the head.
        """
        self._check(runner, 'test_dataloader')

    @staticmethod
    def _check(runner: Runner, field: str) -> None:
        head = getattr(unwrap_model(runner.model), 'head', None)
        num_classes = getattr(head, 'num_classes', None)
        if num_classes is None:
            return
        dataset = getattr(runner, field).dataset
        classes = _classes(dataset)
        if classes is not None and len(classes) != num_classes:
            raise ValueError(
                f'The dataset of {field} has {len(classes)} classes but '
                f'model.head.num_classes is {num_classes}: set `--cfg-options '
                f'model.head.num_classes={len(classes)}` or correct the '
                'data folder.')
        if not hasattr(dataset, 'get_data_info'):
            return
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            label = info.get('gt_label')
            if isinstance(label, Integral) and not 0 <= label < num_classes:
                image = info.get('img_path', f'sample {index}')
                raise ValueError(
                    f"Label {label} of '{image}' in {field} is outside "
                    f'0..{num_classes - 1}: correct the annotations or '
                    'model.head.num_classes.')


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


def _classes(dataset: Dataset) -> tuple | None:
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    return None if classes is None else tuple(classes)
