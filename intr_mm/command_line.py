"""What the tools do before a runner starts: options, data, the machine."""
import atexit
import ctypes
import inspect
import logging
import os
import os.path as osp
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import torch
import torch.distributed as dist
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmengine.utils import digit_version
from mmpretrain.datasets import CUB, CustomDataset
from mmpretrain.registry import DATASETS

from intr_mm.datasets.cub_lists import check_lists
from intr_mm.datasets.image_file import EXTENSIONS
from intr_mm.datasets.image_folders import (FolderListing, ImageFolders,
                                            list_folder, listing_table)
from .config_reading import apply_options

_FIELDS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# of glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def merge_options(cfg: Config, options: dict | None) -> None:
    """Merge ``--cfg-options``, of which ``data_root`` reaches the datasets.

    Raises:
        ValueError: See :func:`move_data_root`.
    """
    if options is not None:
        move_data_root(cfg, options.get('data_root'))
        apply_options(cfg, options)


def move_data_root(cfg: Config, data_root: str | None) -> None:
    """Let ``--cfg-options data_root=...`` reach the datasets.

    A config is read before its options are merged, so its datasets hold the
    old ``data_root``, in copies of their own.

    Args:
        cfg: Full config, before the options are merged.
        data_root: The new folder; None leaves all as it is.

    Raises:
        ValueError: No dataset lies in the old ``data_root``.
    """
    if data_root is None:
        return
    old = cfg.get('data_root')
    datasets = [
        dataset for field in _FIELDS
        for dataset in leaf_datasets((cfg.get(field) or {}).get('dataset'))
        if old is not None and dataset.get('data_root') == old
    ]
    if not datasets:
        raise ValueError(
            f"data_root='{data_root}' reaches no dataset: none of "
            f"{cfg.filename} has the data_root '{old}' of the config; set "
            '`--cfg-options train_dataloader.dataset.data_root=...`, and so '
            'on for val_dataloader and test_dataloader.')
    for dataset in datasets:
        dataset.data_root = data_root
    cfg.data_root = data_root


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


def check_data_folders(cfg: Config, *fields: str) -> None:
    """Check that the data folders of a config hold what training or a test
    needs, and print a table of what was found.

    Datasets that download or draw their images are not looked at.

    Args:
        cfg: Full config. A ``CustomDataset`` that would stumble over entries
            that are no files becomes an :class:`ImageFolders`.
        *fields: Names of dataloaders, absent ones are skipped.

    Raises:
        OSError: A folder is missing, empty, or cannot be read.
        ValueError: A class has no images, or an annotation file is damaged.
    """
    found = {}
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmpretrain')):
        for field in fields:
            for dataset in leaf_datasets((cfg.get(field)
                                          or {}).get('dataset')):
                listing = _check_folder(dataset, field, cfg.get('data_root'))
                if listing is not None:
                    found[f'{field} {len(found)}' if field in
                          found else field] = listing
    if found:
        print_log('Images found:\n' + listing_table(found), 'current')


def leaf_datasets(dataset: dict | list | None) -> Iterator[dict]:
    """Yield the innermost datasets of dataset wrappers.

    Args:
        dataset: Config of a dataset, of a wrapper of datasets, or several of
            them.

    Yields:
        Config of a dataset that is no wrapper.
    """
    if isinstance(dataset, (list, tuple)):
        for item in dataset:
            yield from leaf_datasets(item)
    elif isinstance(dataset, dict):
        inner = dataset.get('dataset') or dataset.get('datasets')
        if inner is None:
            yield dataset
        else:
            yield from leaf_datasets(inner)


def _check_folder(dataset: dict, field: str,
                  shared_root: str | None) -> FolderListing | None:
    dataset_type = dataset['type']
    if isinstance(dataset_type, str):
        dataset_type = DATASETS.get(dataset_type)
    root = dataset.get('data_root') or ''
    if dataset_type is None or '://' in root or not issubclass(
            dataset_type, (CustomDataset, CUB)):
        return None
    prefix = dataset.get('data_prefix') or ''
    if isinstance(prefix, dict):
        prefix = prefix.get('img_path') or ''
    folder = osp.join(root, prefix)
    if not osp.isdir(folder):
        problem = 'does not exist'
    elif not os.listdir(folder):
        problem = 'is empty'
    elif issubclass(dataset_type, CUB):
        check_lists(root)
        return None
    elif (dataset.get('ann_file') or not dataset.get('with_label', True)
          or not (dataset_type is CustomDataset
                  or issubclass(dataset_type, ImageFolders))):
        return None
    else:
        return _check_class_folders(dataset, dataset_type, folder, field)
    option = f'{field}.dataset.data_root=...'
    if root == shared_root:
        option = f'data_root=...` or `{option}'
    raise FileNotFoundError(
        f"Data folder '{osp.abspath(folder)}' of {field} {problem}: put the "
        f'images there or set `--cfg-options {option}`.')


def _check_class_folders(dataset: dict, dataset_type: type, folder: str,
                         field: str) -> FolderListing:
    """Look for what would make wrong classes."""
    parameters = inspect.signature(dataset_type).parameters
    extensions = dataset.get('extensions') or (parameters['extensions'].default
                                               if 'extensions' in parameters
                                               else EXTENSIONS)
    listing = list_folder(folder, extensions)
    where = f"Data folder '{osp.abspath(folder)}' of {field}"
    if not listing.images:
        raise ValueError(
            f'{where} has no class folders, but {listing.loose} images: put '
            'those of each class into a folder of its own.')
    for name, paths in listing.images.items():
        if not paths:
            inside = list_folder(osp.join(folder, name), extensions)
            inside = ', '.join(inside.passed_over()) or 'nothing'
            raise ValueError(
                f"{where} holds no image of the class '{name}', but {inside}: "
                'put images there, or remove the class folder from all of the '
                'splits.')
    if not issubclass(dataset_type, ImageFolders):
        classes = [name for name in listing.ignored if os.sep not in name]
        if classes:
            raise ValueError(
                f"{where} holds '{classes[0]}', which {dataset_type.__name__} "
                'would take for a class: remove that folder, or set '
                f"`--cfg-options {field}.dataset.type=ImageFolders`.")
        if listing.unreadable:
            # whose listing a link to itself does not stop
            dataset['type'] = 'ImageFolders'
    return listing


def check_display(show: bool) -> None:
    """Refuse to open windows where there is no display.

    Raises:
        ValueError: There is none.
    """
    if (show and sys.platform == 'linux' and not os.environ.get('DISPLAY')
            and not os.environ.get('WAYLAND_DISPLAY')):
        raise ValueError('--show opens windows, and DISPLAY names no display: '
                         'write pictures with --show-dir instead.')


def use_amp(optim_wrapper: ConfigDict, device: str) -> None:
    """Let a config train in mixed precision, in bfloat16 where there is it.

    Args:
        optim_wrapper: Config of the wrapper, changed in place; not on a CPU
            that would be slower in bfloat16.
        device: Type of the device, such as ``'cuda'``.
    """
    if device == 'cpu' and not _cpu_has_bfloat16():
        print_log(
            'This CPU has no instructions for bfloat16, so training is in '
            'float32.', 'current', logging.WARNING)
    # GPUs have bfloat16 since Ampere
    elif device == 'cpu' or (torch.cuda.is_available()
                             and torch.cuda.get_device_capability() >= (8, 0)):
        optim_wrapper.type = 'BFloat16OptimWrapper'
    else:
        optim_wrapper.type = 'AmpOptimWrapper'
        optim_wrapper.setdefault('loss_scale', 'dynamic')


def _cpu_has_bfloat16() -> bool:
    return (torch.backends.mkldnn.is_available()
            and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def advise_threads() -> None:
    """Say so where other processes keep the cores of a CPU busy.

    Threads that wait for each other are slowed down by the slowest: beside
    three processes on two cores, one thread was 6 times as fast as two. The
    number is not changed here, as the order of sums depends on it, and so
    whether a run can be repeated.
    """
    cores, threads = os.cpu_count(), torch.get_num_threads()
    load = os.getloadavg()[0] if hasattr(os, 'getloadavg') else 0
    if (get_device() == 'cpu' and 'OMP_NUM_THREADS' not in os.environ
            and threads > 1 and load > cores):
        print_log(
            f'Other processes keep the {cores} cores of this machine busy '
            f'(load {load:.1f}), and this one computes with {threads} '
            'threads: with OMP_NUM_THREADS=1 in the environment it may be '
            'several times as fast.', 'current', logging.WARNING)


def use_huge_pages() -> None:
    """Let PyTorch ask Linux for huge pages, where it computes on a CPU.

    Activations are taken from the system and given back at each step, and
    preparing their memory by pages of 4 KiB takes a fifth of a step.

    To be called before the first tensor is made. PyTorch 2.1 and other
    systems ignore it; ``THP_MEM_ALLOC_ENABLE=0`` in the environment prevents
    it.
    """
    if get_device() == 'cpu':
        os.environ.setdefault('THP_MEM_ALLOC_ENABLE', '1')


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for the next step, where PyTorch computes
    on a CPU.

    The process holds its peak from then on, and up to a tenth more where
    images differ in size. Other C libraries ignore it;
    ``MALLOC_MMAP_THRESHOLD_`` in the environment prevents it.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if (get_device() == 'cpu' and mallopt is not None
            and 'MALLOC_MMAP_THRESHOLD_' not in os.environ):
        mallopt(_M_MMAP_THRESHOLD, 2**30)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def setup_cpu_distributed(cfg: Config) -> None:
    """Let ``--launcher pytorch`` train on CPU processes where no accelerator
    is at hand.

    MMEngine's launcher selects a CUDA device for each process and hands its
    index to DDP, and both fail on such a machine. The runner keeps a process
    group that exists already, and takes DDP's arguments from
    ``model_wrapper_cfg``, so nothing else has to differ.

    Args:
        cfg: Full config, of which ``model_wrapper_cfg`` is modified where the
            launcher is 'pytorch' and there is no accelerator.

    Raises:
        ValueError: No launcher started this process.
    """
    variable = dict(
        pytorch='RANK', slurm='SLURM_PROCID',
        mpi='OMPI_COMM_WORLD_LOCAL_RANK').get(cfg.launcher)
    if variable is not None and variable not in os.environ:
        raise ValueError(
            f'--launcher {cfg.launcher} needs {variable} in the environment, '
            'which the launcher sets: start the tool by dist_train.sh or '
            'dist_test.sh (torchrun), srun or mpirun, or leave --launcher '
            'out.')
    if cfg.launcher != 'pytorch' or get_device() != 'cpu':
        return
    dist_cfg = cfg.get('env_cfg', {}).get('dist_cfg', {})
    kwargs = {}
    if 'timeout' in dist_cfg:
        kwargs['timeout'] = timedelta(seconds=dist_cfg['timeout'])
    dist.init_process_group('gloo', **kwargs)
    atexit.register(let_gloo_finish)

    wrapper = cfg.get('model_wrapper_cfg') or dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    cfg.model_wrapper_cfg = dict(wrapper, device_ids=None)


def let_gloo_finish() -> None:
    """Let gloo's threads free the tensors of the last collective.

    They need the interpreter's lock for that, and abort the process if it is
    gone by then. Destroying the group ends them, as PyTorch advises since 2.4;
    100 of 100 pairs of processes ended well so on 2.11. On PyTorch 2.1 the
    two can wait for each other forever, so older versions just wait.
    """
    if digit_version(torch.__version__) < digit_version('2.4'):
        time.sleep(.1)
    elif dist.is_initialized():
        dist.destroy_process_group()
