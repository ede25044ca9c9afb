"""Checks of a config before anything is built from it.

The keys of each part are compared with the signature of the class or function
that reads them, and their values with the kinds that it names.
"""
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from inspect import signature

from mmengine import registry as root
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import (EpochBasedTrainLoop, IterBasedTrainLoop,
                             LogProcessor, Runner, TestLoop, ValLoop)
from mmengine.utils import import_modules_from_strings
from mmengine.utils.dl_utils import set_multi_processing
from mmpretrain import registry
from mmpretrain.models import ClsDataPreprocessor, ImageClassifier
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader

from .config_values import check_value
from .signatures import accepted

MODELS = registry.MODELS
SPLITS = ('train', 'val', 'test')
# What of a part of the config is read by whom: a registry, or what takes it.
TOP_LEVEL = dict(
    model=MODELS,
    tta_model=MODELS,
    data_preprocessor=MODELS,
    tta_pipeline=registry.TRANSFORMS,
    train_dataloader=DataLoader,
    val_dataloader=DataLoader,
    test_dataloader=DataLoader,
    train_cfg=registry.LOOPS,
    val_cfg=registry.LOOPS,
    test_cfg=registry.LOOPS,
    val_evaluator=registry.METRICS,
    test_evaluator=registry.METRICS,
    optim_wrapper=registry.OPTIM_WRAPPERS,
    param_scheduler=registry.PARAM_SCHEDULERS,
    default_hooks=None,  # see `check_config`
    custom_hooks=registry.HOOKS,
    visualizer=registry.VISUALIZERS,
    log_processor=registry.LOG_PROCESSORS,
    randomness=Runner.set_randomness,
    custom_imports=import_modules_from_strings,
    env_cfg=('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'),
    auto_scale_lr=('base_batch_size', 'enable'))
IN_MODEL = dict.fromkeys(('module', 'data_preprocessor', 'backbone', 'neck',
                          'head', 'auxiliary', 'auxiliary_neck', 'loss'),
                         MODELS)
IN_DATA = dict(
    dataset=registry.DATASETS,
    datasets=registry.DATASETS,
    pipeline=registry.TRANSFORMS,
    transforms=registry.TRANSFORMS,
    sampler=registry.DATA_SAMPLERS,
    batch_sampler=registry.DATA_SAMPLERS)
IN_METRIC = dict(explainer=registry.TASK_UTILS, metrics=registry.METRICS)
NESTED = dict(
    model=IN_MODEL,
    tta_model=IN_MODEL,
    train_dataloader=IN_DATA,
    val_dataloader=IN_DATA,
    test_dataloader=IN_DATA,
    tta_pipeline=IN_DATA,
    val_evaluator=IN_METRIC,
    test_evaluator=IN_METRIC,
    optim_wrapper=dict(
        optimizer=registry.OPTIMIZERS, clip_grad=clip_grad_norm_),
    visualizer=dict(vis_backends=registry.VISBACKENDS),
    env_cfg=dict(mp_cfg=set_multi_processing))
# Who reads a part that names no type; those of None are not looked at.
DEFAULTS = dict(
    data_preprocessor=None,
    val_cfg=ValLoop,
    test_cfg=TestLoop,
    optim_wrapper=OptimWrapper,
    log_processor=LogProcessor,
    train_cfg=EpochBasedTrainLoop)
# Keys that are taken out before the rest is handed to the part.
TAKEN_OUT = dict(
    train_cfg=('by_epoch', ),
    optim_wrapper=('constructor', 'paramwise_cfg'),
    param_scheduler=('convert_to_iter_based', ),
    clip_grad=('type', ),
    train_dataloader=('num_batch_per_epoch', ),
    val_dataloader=('num_batch_per_epoch', ),
    test_dataloader=('num_batch_per_epoch', ))
HOOK_NAMES = [
    f'default_hooks.{name}'
    for name in ('runtime_info', 'timer', 'sampler_seed', 'logger',
                 'param_scheduler', 'checkpoint', 'visualization')
]
# Keys of a config file that mmengine and the tools read.
KNOWN = {
    *TOP_LEVEL, *signature(Runner.__init__).parameters, 'runner_type',
    'model_wrapper_cfg', 'find_unused_parameters', 'sync_bn',
    'efficient_conv_bn_eval', 'activation_checkpointing', 'compile',
    'strategy', 'data_root'
} - {'self', 'cfg'}


def check_config(cfg: Config, *needs: str) -> None:
    """Refuse what nobody would read, or what could not be built.

    Args:
        cfg: Full config, after all options were merged.
        *needs: Keys that have to be there. With that of a loop, such as
            ``test_cfg``, all that a runner reads is checked, else what an
            inferencer reads.

    Raises:
        ValueError: One sentence that names the key and its value.
    """
    require(cfg, *needs)
    for key in cfg:
        # Helpers of a config file have any name, but not almost a known one,
        # least of all where they are a part.
        cutoff = .8 if isinstance(cfg[key], dict) else .9
        if key not in KNOWN and get_close_matches(key, KNOWN, cutoff=cutoff):
            raise ValueError(f'{key} of {cfg.filename} is read by nobody' +
                             nearest(key, KNOWN))
    for key, hint in accepted(Runner)[0].items():
        if key in cfg:
            check_value(cfg[key], key, hint, Runner)
    runs = any(key.endswith('_cfg') for key in needs)
    if runs:
        _check_loops(cfg)
    for split in SPLITS:
        loader = cfg.get(f'{split}_dataloader')
        if (isinstance(loader, dict) and 'drop_last' in loader
                and loader.get('batch_sampler') is not None):
            key = f'{split}_dataloader.batch_sampler'
            raise ValueError(
                f'{split}_dataloader.drop_last={loader.drop_last} is not read '
                f'beside {key}: set {key}.drop_last, or {key}=None.')
    scope = cfg.get('default_scope', 'mmengine' if runs else 'mmpretrain')
    with root.MODELS.switch_scope_and_registry(scope) as scoped:
        if scoped.scope != scope:
            raise ValueError(f"default_scope='{scope}' has no registry"
                             f'{nearest(scope, root.MODELS.children)}')
    defaults = dict(DEFAULTS)
    if 'max_iters' in (cfg.get('train_cfg') or ()):
        defaults['train_cfg'] = IterBasedTrainLoop
    with DefaultScope.overwrite_default_scope(scope):
        model = cfg.get('model') and _find(cfg.model, 'model', MODELS)
        if isinstance(model, type) and issubclass(model, ImageClassifier):
            defaults['data_preprocessor'] = ClsDataPreprocessor
            if runs and cfg.model.get('head') is None:
                raise ValueError(f'model.head of {cfg.filename} is None: give '
                                 'the model a head to train and test.')
        read = TOP_LEVEL if runs else (*needs, 'data_preprocessor',
                                       'test_dataloader')
        for key in [key for key in read if key in cfg]:
            if key == 'default_hooks':
                for name, hook in (cfg.default_hooks or {}).items():
                    _check_part(hook, f'{key}.{name}', registry.HOOKS,
                                defaults)
            else:
                _check_part(cfg[key], key, TOP_LEVEL[key], defaults)


def require(cfg: Config, *needs: str) -> None:
    """Refuse a config that lacks a key.

    Raises:
        ValueError: Or it holds no dict there.
    """
    for key in needs:
        if not isinstance(cfg.get(key), (dict, list)):
            raise ValueError(
                f'{key} is {cfg.get(key)!r} in {cfg.filename}: give it a '
                f'{key}, or name a config that has one in its _base_.')


def _check_loops(cfg: Config) -> None:
    """A runner takes all keys of a loop, or none."""
    loop = cfg.get('train_cfg')
    if isinstance(loop, dict) and not loop.keys() & {'type', 'by_epoch'}:
        raise ValueError(f'train_cfg={dict(loop)} says neither type nor '
                         'by_epoch: give it by_epoch=True or False.')
    for split in SPLITS:
        keys = [f'{split}_dataloader', f'{split}_cfg']
        keys.append('optim_wrapper' if split ==
                    'train' else f'{split}_evaluator')
        missing = [key for key in keys if cfg.get(key) is None]
        if 0 < len(missing) < 3:
            there = ' and '.join(key for key in keys if key not in missing)
            raise ValueError(
                f'{" and ".join(missing)} of {cfg.filename} is None or not '
                f'there, but {there} is: set all of them, or none.')


def _check_part(value, path: str, reader: Registry | Callable | tuple | None,
                defaults: dict[str, Callable | None]) -> None:
    """Check a dict that is read by one class or function, and what is in it.

    Args:
        value: Anything in a config; of a list each entry is checked.
        path: Where it stands, for the error message.
        reader: Who reads it; None if that is not known.
        defaults: Who reads what names no type, by the last key of the path.
    """
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check_part(item, f'{path}.{index}', reader, defaults)
        return
    if not isinstance(value, dict):
        if reader is not None and isinstance(value, (int, float, str)):
            raise ValueError(f'{path} has to be a dict, got {value!r}.')
        return
    part, names, is_open = reader, {}, True
    if reader is registry.METRICS and 'metrics' in value:
        reader = registry.EVALUATORS
        defaults = {**defaults, _last_key(path): Evaluator}
    if isinstance(reader, Registry):
        part = _find(value, path, reader, defaults)
    if part is not None:
        names, is_open = accepted(part)
    is_open |= 'constructor' in value  # which may read anything
    taken_out = TAKEN_OUT.get(_last_key(path), ())
    if reader is registry.HOOKS:
        taken_out = ('priority', )
    for key, item in value.items():
        here = f'{path}.{key}'
        check_value(item, here, names.get(key), part)
        if key in taken_out:
            continue
        if not (is_open or key in names
                or key in ('type', '_scope_', '_delete_')):
            raise ValueError(
                f'{here}={item!r}: {getattr(part, "__name__", path)} takes no '
                f"argument '{key}'{nearest(key, names)} It takes "
                f"{', '.join(sorted(names))}.")
        inner = NESTED.get(path.split('.')[0], {})
        _check_part(item, here, inner.get(key), defaults)


def _last_key(path: str) -> str:
    """The last key that is no index of a list."""
    return next(k for k in reversed(path.split('.')) if not k.isdigit())


def _find(value: dict,
          path: str,
          reader: Registry,
          defaults: dict = {}) -> Callable | None:
    """The class or function that a dict names; None if that is not known.

    Raises:
        ValueError: It names none, or one that is not registered.
    """
    if not isinstance(value, dict):
        raise ValueError(f'{path}={value!r} has to be a dict with a type.')
    kind = value.get('type')
    if kind is None and _last_key(path) in defaults:
        return defaults[_last_key(path)]
    if kind is None:
        raise ValueError(f'{path}={dict(value)} has no type: give it one, or '
                         f'correct its name{nearest(path, HOOK_NAMES, ".")}')
    if not isinstance(kind, str):
        return kind
    with reader.switch_scope_and_registry(value.get('_scope_')) as scoped:
        part = scoped.get(kind)
        if part is None:
            names = {*scoped.module_dict}
            while scoped.parent is not None:
                scoped = scoped.parent
                names.update(scoped.module_dict)
            raise ValueError(
                f"{path}.type='{kind}' is not registered among {scoped.name}s"
                f'{nearest(kind, names)}')
    return part


def nearest(word: str,
            words: Iterable[str],
            otherwise: str = ': check the name.') -> str:
    """The end of a sentence that names what was meant.

    Args:
        word: What was written.
        words: What is known.
        otherwise: The end where nothing is like it.
    """
    near = get_close_matches(word, words, n=3, cutoff=.6)
    return f"; did you mean {' or '.join(near)}?" if near else otherwise
