from numbers import Integral

from mmengine.hooks import Hook
from mmengine.runner import Runner
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

        Args:
            runner: The runner of the training process.

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

        Args:
            runner: The runner of the testing process.

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


def _classes(dataset: Dataset) -> tuple | None:
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    return None if classes is None else tuple(classes)
