"""Completes a config by what the data and other settings say."""
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS


def fill_num_classes(cfg: Config, field: str) -> None:
    """Give a head with ``num_classes=None`` the classes of the data.

    The dataset itself is asked, so any type will do. ``num_classes`` of the
    data preprocessor follows where the config has it.

    Args:
        cfg: Full config, changed in place.
        field: Dataloader whose dataset is asked.

    Raises:
        ValueError: The dataset does not name its classes.
    """
    # test-time augmentation wraps the model
    model = cfg.model.get('module', cfg.model)
    head = model.get('head') or {}
    if head.get('num_classes', 0) is not None:
        return
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmpretrain')):
        dataset = DATASETS.build(cfg[field].dataset)
    classes = dataset.metainfo.get('classes')
    if classes is None:
        raise ValueError(
            f'{type(dataset).__name__} of {field} does not name its classes, '
            'so model.head.num_classes=None cannot be filled in: set '
            '`--cfg-options model.head.num_classes=N`.')
    head.num_classes = len(classes)
    for preprocessor in (cfg.get('data_preprocessor'),
                         model.get('data_preprocessor')):
        if preprocessor and 'num_classes' in preprocessor:
            preprocessor.num_classes = len(classes)
    print_log(
        f'model.head.num_classes is set to {len(classes)}, the classes of '
        f'{field}.',
        logger='current')


def cut_topk(cfg: Config, options: dict | None = None) -> None:
    """Leave out accuracies over more classes than the head has.

    Args:
        cfg: Full config, changed in place.
        options: ``--cfg-options``.

    Raises:
        ValueError: Such an accuracy was asked for by an option.
    """
    model = cfg.model.get('module', cfg.model)
    number = (model.get('head') or {}).get('num_classes')
    for field in ('val_evaluator', 'test_evaluator'):
        metrics = cfg.get(field) or []
        for metric in [metrics] if isinstance(metrics, dict) else metrics:
            topk = metric.get('topk')
            if not isinstance(number, int) or not isinstance(
                    topk, (list, tuple)) or max(topk) <= number:
                continue
            for key in options or ():
                if key.startswith(field) and key.endswith('topk'):
                    raise ValueError(
                        f'--cfg-options {key}={topk}: the model has {number} '
                        f'classes, so choose topk of at most {number}.')
            metric.topk = tuple(k for k in topk if k <= number) or (1, )
            print_log(
                f'{field}: topk={tuple(topk)} is cut to {metric.topk}, as the '
                f'model has {number} classes.',
                logger='current')


def cut_schedule(cfg: Config) -> None:
    """Leave out schedulers that begin when training is over.

    Args:
        cfg: Full config, changed in place.
    """
    epochs = cfg.train_cfg.get('max_epochs')
    schedulers = cfg.get('param_scheduler')
    if epochs is None or not isinstance(schedulers, list):
        return
    cfg.param_scheduler = [
        scheduler for scheduler in schedulers
        if not scheduler.get('by_epoch', True)
        or scheduler.get('begin', 0) < epochs
    ]
    for scheduler in schedulers:
        if scheduler not in cfg.param_scheduler:
            print_log(
                f'{scheduler.type} of param_scheduler begins after epoch '
                f'{scheduler.begin} and is left out, as training ends after '
                f'epoch {epochs}.',
                logger='current')


def add_checkpoint_check(cfg: Config) -> None:
    """Let a config without it refuse checkpoints that do not fit.

    Args:
        cfg: Full config, whose ``default_hooks`` get ``checkpoint_check``.
    """
    hooks = [*cfg.get('custom_hooks', [])]
    hooks += (cfg.get('default_hooks') or {}).values()
    if 'CheckpointCheckHook' not in [(hook or {}).get('type')
                                     for hook in hooks]:
        cfg.setdefault('default_hooks', ConfigDict()).setdefault(
            'checkpoint_check', dict(type='mmpretrain.CheckpointCheckHook'))
