"""What the tools do before a runner starts."""
import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.utils import digit_version

from intr_mm import command_line
from intr_mm.command_line import (add_checkpoint_check, check_data_folders,
                                  check_display, cut_schedule, cut_topk,
                                  fill_num_classes, move_data_root,
                                  setup_cpu_distributed)
from .tiny import CONFIG, ROOT

SCHEDULED = [
    ROOT / 'configs' / f'intr_{name}.py'
    for name in ('swin-tiny_cub', 'cub50_frozen_224px', 'demo')
]
SETTING = Path('/sys/kernel/mm/transparent_hugepage/enabled')
on_linux_without_gpu = pytest.mark.skipif(
    torch.cuda.is_available() or not Path('/proc/self/smaps_rollup').exists(),
    reason='for Linux without an accelerator')


def dataset(root, **kwargs):
    return dict(type='CustomDataset', data_root=root, **kwargs)


@pytest.mark.parametrize('hooks, added', [
    (dict(), True),
    (dict(default_hooks=dict(timer=dict(type='IterTimerHook'))), True),
    (dict(custom_hooks=[dict(type='CheckpointCheckHook')]), False),
    (dict(default_hooks=dict(check=dict(type='CheckpointCheckHook'))), False),
    (dict(default_hooks=dict(checkpoint_check=None)), False),
])
def test_configs_of_others_get_the_check_of_checkpoints(hooks, added):
    cfg = Config(hooks)
    add_checkpoint_check(cfg)
    hook = cfg.get('default_hooks', {}).get('checkpoint_check')
    assert (hook is not None) == added


def test_data_root_reaches_wrapped_datasets_that_had_the_old_one():
    cfg = Config(
        dict(
            data_root='old',
            train_dataloader=dict(
                dataset=dict(
                    type='ConcatDataset',
                    datasets=[
                        dict(
                            type='RepeatDataset',
                            times=2,
                            dataset=dataset('old')),
                        dataset('elsewhere')
                    ])),
            val_dataloader=None,
            test_dataloader=dict(dataset=dataset('old'))))
    move_data_root(cfg, 'new')
    repeated, other = cfg.train_dataloader.dataset.datasets
    assert repeated.dataset.data_root == 'new'
    assert other.data_root == 'elsewhere'
    assert cfg.test_dataloader.dataset.data_root == cfg.data_root == 'new'


@pytest.mark.parametrize('old', [dict(), dict(data_root='old')])
def test_data_root_that_reaches_nothing_is_refused(old):
    cfg = Config(dict(old, train_dataloader=dict(dataset=dataset('other'))))
    move_data_root(cfg, None)
    with pytest.raises(ValueError, match="data_root='new'"):
        move_data_root(cfg, 'new')


def tiny(images, **head):
    cfg = Config.fromfile(CONFIG)
    cfg.train_dataloader.dataset.data_root = str(images)
    cfg.model.head.update(head)
    return cfg


def test_classes_of_the_data_fill_in_the_head(images):
    cfg = tiny(images, num_classes=None)
    cfg.model.data_preprocessor.num_classes = 1000
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=2, dataset=cfg.train_dataloader.dataset)
    fill_num_classes(cfg, 'train_dataloader')
    assert cfg.model.head.num_classes == 3
    assert cfg.model.data_preprocessor.num_classes == 3


def test_classes_behind_test_time_augmentation(images):
    cfg = tiny(images, num_classes=None)
    cfg.model = dict(type='AverageClsScoreTTA', module=cfg.model)
    fill_num_classes(cfg, 'train_dataloader')
    assert cfg.model.module.head.num_classes == 3


def test_a_number_in_the_config_stays(images):
    cfg = tiny(images, num_classes=7)
    fill_num_classes(cfg, 'train_dataloader')
    assert cfg.model.head.num_classes == 7


def test_data_without_class_names_are_refused(images):
    cfg = tiny(images, num_classes=None)
    cfg.train_dataloader.dataset.with_label = False
    with pytest.raises(
            ValueError, match=r'--cfg-options model\.head\.num_classes'):
        fill_num_classes(cfg, 'train_dataloader')


def config(data_root, **kwargs):
    dataset = dict(
        type='CustomDataset', data_root=str(data_root), data_prefix='train')
    return Config(dict(train_dataloader=dict(dataset=dict(dataset, **kwargs))))


def test_missing_folder(tmp_path):
    message = rf"{tmp_path}/train'.* not exist.*train_dataloader\.dataset\."
    with pytest.raises(FileNotFoundError, match=message):
        check_data_folders(config(tmp_path), 'train_dataloader')


def test_empty_folder_inside_wrappers(tmp_path):
    (tmp_path / 'train').mkdir()
    inner = config(tmp_path).train_dataloader.dataset
    cfg = config(
        '',
        type='ConcatDataset',
        datasets=[dict(type='RepeatDataset', times=2, dataset=inner)])
    with pytest.raises(FileNotFoundError, match="train'.* empty"):
        check_data_folders(cfg, 'train_dataloader')
    (tmp_path / 'train' / 'class_a').mkdir()
    (tmp_path / 'train' / 'class_a' / '1.jpg').touch()
    check_data_folders(cfg, 'train_dataloader')


def test_cub_in_its_own_format():
    cfg = config('no/such', type='mmpretrain.CUB')
    cfg.train_dataloader.dataset.pop('data_prefix')
    with pytest.raises(FileNotFoundError, match="no/such'"):
        check_data_folders(cfg, 'train_dataloader')


@pytest.mark.parametrize('dataset', [
    dict(type='CIFAR10', data_root='no/such', data_prefix='no/such'),
    dict(type='CustomDataset', data_root='s3://bucket/birds'),
])
def test_what_need_not_be_on_the_disk(dataset):
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    check_data_folders(cfg, 'train_dataloader', 'val_dataloader')


def accuracies(number, *topks):
    return Config(
        dict(
            model=dict(head=dict(num_classes=number)),
            val_evaluator=dict(type='Accuracy', topk=topks[0]),
            test_evaluator=[
                dict(type='Accuracy', topk=topk) for topk in topks
            ]))


def test_accuracies_over_more_classes_than_there_are():
    cfg = accuracies(3, (1, 5), (1, 2), (5, ))
    cut_topk(cfg)
    assert cfg.val_evaluator.topk == (1, )
    assert [m.topk for m in cfg.test_evaluator] == [(1, ), (1, 2), (1, )]
    cut_topk(accuracies(5, (1, 5)), {'val_evaluator.topk': (1, 5)})
    with pytest.raises(ValueError, match='at most 3'):
        cut_topk(accuracies(3, (1, 5)), {'val_evaluator.topk': (1, 5)})


@pytest.mark.parametrize('path', SCHEDULED, ids=lambda path: path.stem)
def test_one_epoch_in_every_config(path):
    cfg = Config.fromfile(path)
    cfg.train_cfg.max_epochs = 1
    cut_schedule(cfg)
    for scheduler in cfg.param_scheduler:
        assert not scheduler.get('by_epoch', True) or (scheduler.get(
            'begin', 0) < 1)
    assert cfg.param_scheduler


@pytest.mark.parametrize('launcher, variable', [('pytorch', 'RANK'),
                                                ('slurm', 'SLURM_PROCID'),
                                                ('mpi', 'OMPI_COMM_WORLD_')])
def test_launchers_that_started_nothing(monkeypatch, launcher, variable):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(ValueError, match=variable):
        setup_cpu_distributed(Config(dict(launcher=launcher)))


def test_windows_need_a_display(monkeypatch):
    monkeypatch.setattr(sys, 'platform', 'linux')
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    check_display(False)
    with pytest.raises(ValueError, match='--show-dir instead'):
        check_display(True)
    monkeypatch.setenv('DISPLAY', ':0')
    check_display(True)


def mib_of(field, code, **env):
    """What Linux says of a process after it ran a line of code."""
    settings = ('THP_MEM_ALLOC_ENABLE', 'MALLOC_MMAP_THRESHOLD_')
    others = {k: v for k, v in os.environ.items() if k not in settings}
    code = f"""
import torch
from intr_mm.command_line import keep_freed_memory, use_huge_pages
{code}
for line in open('/proc/self/smaps_rollup'):
    if line.startswith('{field}:'):
        print(int(line.split()[1]) / 1024)
"""
    result = subprocess.run([sys.executable, '-c', code],
                            env=dict(others, **env),
                            capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stderr
    return float(result.stdout.split()[-1])


@pytest.mark.parametrize('load, threads, variable, told', [
    (9., 2, None, True),
    (.5, 2, None, False),
    (9., 1, None, False),
    (9., 2, '2', False),
])
def test_busy_cores_are_told(monkeypatch, load, threads, variable, told):
    monkeypatch.setattr('os.getloadavg', lambda: (load, load, load))
    monkeypatch.setattr('os.cpu_count', lambda: 2)
    monkeypatch.setattr('torch.get_num_threads', lambda: threads)
    monkeypatch.setattr(command_line, 'get_device', lambda: 'cpu')
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    if variable is not None:
        monkeypatch.setenv('OMP_NUM_THREADS', variable)
    said = []
    monkeypatch.setattr(command_line, 'print_log',
                        lambda text, *_: said.append(text))
    command_line.advise_threads()
    assert len(said) == told
    assert not told or 'OMP_NUM_THREADS=1' in said[0]


@pytest.mark.slow
@on_linux_without_gpu
@pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.2'),
    reason='PyTorch 2.1 takes no huge pages')
@pytest.mark.skipif(
    not SETTING.exists() or '[madvise]' not in SETTING.read_text(),
    reason='Linux does not let programs choose huge pages')
def test_tensors_lie_in_huge_pages_unless_refused():
    code = 'use_huge_pages(); tensor = torch.ones(2**24)'  # 64 MiB
    with_pages = mib_of('AnonHugePages', code)
    refused = mib_of('AnonHugePages', code, THP_MEM_ALLOC_ENABLE='0')
    # the last page may be cut
    assert with_pages >= refused + 60


@pytest.mark.slow
@on_linux_without_gpu
@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), 'mallopt'), reason='needs glibc')
def test_freed_memory_is_kept_unless_refused():
    code = 'keep_freed_memory(); tensor = torch.ones(2**26); del tensor'
    kept = mib_of('Rss', code)
    refused = mib_of('Rss', code, MALLOC_MMAP_THRESHOLD_='131072')
    assert kept >= refused + 200  # of 256 MiB
