from numbers import Integral

import torch
from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint
from mmpretrain.models.heads import MultiLabelClsHead
from mmpretrain.registry import HOOKS
from torch.utils.data import DataLoader, Dataset

from intr_mm.checkpoints import check_class_order
from intr_mm.datasets import try_images
from intr_mm.datasets.image_folders import some
from ..model_utils import unwrap_model


@HOOKS.register_module()
class DatasetCheckHook(Hook):
    """Check that each dataset has images, the classes of the head and labels
    among them, before the first batch is drawn.

    Models whose head has no ``num_classes``, datasets that do not name their
    classes and labels that are no integers are not checked.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the training set, and the validation set if there is one.

        Raises:
            ValueError: Nothing would be trained, or classes or labels do not
                fit the head or each other.
        """
        check_batches(runner.train_dataloader)
        train = runner.train_dataloader.dataset
        classes = dataset_classes(train)
        sets = [] if runner.val_loop is None else [
            ('val_dataloader', runner.val_dataloader.dataset)
        ]
        for field, dataset in sets:
            _check_same(classes, dataset_classes(dataset), field)
        labels = self._check(runner, 'train_dataloader')
        several = isinstance(
            getattr(unwrap_model(runner.model), 'head', None),
            MultiLabelClsHead)
        if len(labels) == 1 and not several:  # of several, one can be absent
            label = labels.pop()
            name = label if classes is None else f"'{classes[label]}'"
            raise ValueError(
                'The images of train_dataloader show one class only, '
                f'{name}: there is nothing to tell apart; put images of at '
                'least two classes there.')
        for field, dataset in sets:
            self._check(runner, field)
        for field, dataset in [('train_dataloader', train), *sets]:
            _check_readable(dataset, field)

    def before_test(self, runner: Runner) -> None:
        """Check the test set.

        Raises:
            ValueError: Classes or labels do not fit the head, or the names in
                an exported file, or no image can be read.
        """
        meta = getattr(unwrap_model(runner.model), '_dataset_meta', None) or {}
        check_class_order(
            meta.get('classes'),
            dataset_classes(runner.test_dataloader.dataset), 'test_dataloader')
        self._check(runner, 'test_dataloader')
        _check_readable(runner.test_dataloader.dataset, 'test_dataloader')

    @staticmethod
    def _check(runner: Runner, field: str) -> set[int]:
        """Check one data set against the head, and return its labels."""
        head = getattr(unwrap_model(runner.model), 'head', None)
        num_classes = getattr(head, 'num_classes', None)
        if num_classes is None:
            return set()
        dataset = getattr(runner, field).dataset
        classes = dataset_classes(dataset)
        if classes is not None and len(classes) != num_classes:
            remedy = 'take the data that the model is for'
            if field == 'train_dataloader':
                remedy = ('set `--cfg-options model.head.num_classes='
                          f'{len(classes)}`')
            raise ValueError(
                f'The dataset of {field} has {len(classes)} classes but '
                f'model.head.num_classes is {num_classes}: {remedy} or '
                'correct the data folder.')
        labels = set()
        if not hasattr(dataset, 'get_data_info'):
            return labels
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            label = info.get('gt_label')
            image = info.get('img_path', f'sample {index}')
            several = isinstance(label, list)
            if several and not isinstance(head, MultiLabelClsHead):
                raise ValueError(
                    f"'{image}' in {field} has the labels {label}, but "
                    f'{type(head).__name__} takes one: set '
                    "model.head.type='MultiLabelINTRHead'.")
            for one in label if several else [label]:
                if not isinstance(one, Integral):
                    continue
                labels.add(int(one))
                if not 0 <= one < num_classes:
                    raise ValueError(
                        f"Label {one} of '{image}' in {field} is outside "
                        f'0..{num_classes - 1}: correct the annotations or '
                        'model.head.num_classes.')
        return labels


def check_batches(dataloader: DataLoader) -> None:
    """Check that there is a batch to train on.

    Args:
        dataloader: That of the training set.

    Raises:
        ValueError: All images are dropped, or there are none.
    """
    # infinite samplers fill a batch by going round
    if len(dataloader) == 0 and not isinstance(dataloader.sampler,
                                               InfiniteSampler):
        number = len(dataloader.dataset)
        # whose batch sampler, if it has one, holds both settings
        batch_size, where = dataloader.batch_size, 'train_dataloader'
        if batch_size is None:
            batch_size = dataloader.batch_sampler.batch_size
            where += '.batch_sampler'
        raise ValueError(
            f'train_dataloader has {number} images, fewer than fill a batch '
            f'of {batch_size} in each process, and drop_last=True drops them, '
            'so nothing would be trained: set `--cfg-options '
            f'train_dataloader.batch_size={max(1, number // 2)}` or lower, or '
            f'{where}.drop_last=False.')


def _check_same(train: tuple | None, other: tuple | None, field: str) -> None:
    if train is None or other is None or train == other:
        return
    for one, two, here, there in ((train, other, 'train_dataloader', field),
                                  (other, train, field, 'train_dataloader')):
        alone = [str(name) for name in one if name not in two]
        back = [str(name) for name in two if name not in one]
        if alone:
            raise ValueError(
                f"Class '{some(alone)}' of {here} ({len(one)} classes) is not "
                f'in {there} ({len(two)} classes)' +
                (f", where there is '{some(back)}' instead" if back else '') +
                ': give both the same class folders or `metainfo.classes`.')
    raise ValueError(f'train_dataloader and {field} name the same classes in '
                     'another order: give both the same `metainfo.classes`.')


def _check_readable(dataset: Dataset, field: str) -> None:
    """Check that not all images are damaged, each of which training would
    replace by another."""
    first = None
    for error in try_images(dataset):
        if error is None:
            return
        first = first or error
    if first is not None:
        raise ValueError(f'None of the {len(dataset)} images of {field} can '
                         f'be read. The first: {first}')


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


def dataset_classes(dataset: Dataset) -> tuple | None:
    """Names of the classes of a data set; None if it names none."""
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    return None if classes is None else tuple(classes)
