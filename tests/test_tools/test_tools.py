"""The tools as a user runs them, in processes of their own."""
import json
import pickle
import signal

import pytest
import torch

from ..tiny import CONFIG, DEMO
from .conftest import (assert_same_weights, dist_tool, finish, free_port,
                       losses, run, start, tool)

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def unbroken(images, tmp_path_factory):
    """Work folder of a run of three epochs of five iterations each."""
    work_dir = tmp_path_factory.mktemp('unbroken')
    run(tool('train.py'), images, work_dir)
    assert len(losses(work_dir)) == 15
    return work_dir


def check_resume(config, images, unbroken, tmp_path, **kwargs):
    """Kill a run in its second epoch, resume it, compare it to another."""
    killed = tmp_path / 'killed.py'
    killed.write_text(f"_base_ = '{config}'\n"
                      "custom_imports = dict(imports=['intr_mm', 'kill_hook'])"
                      "\ndefault_hooks = dict(kill=dict(type='KillHook', "
                      'iteration=8))')
    work_dir = tmp_path / 'work'
    code = -signal.SIGKILL
    run(tool('train.py', killed), images, work_dir, code=code, **kwargs)
    assert (work_dir / 'last_checkpoint').read_text().endswith('epoch_1.pth')
    before = losses(work_dir)
    assert max(before) < 9

    run(tool('train.py', config), images, work_dir, '--resume', **kwargs)
    assert losses(work_dir) == losses(unbroken)
    assert_same_weights(work_dir / 'epoch_3.pth', unbroken / 'epoch_3.pth')


def test_killed_run_resumes_to_the_same_result(images, unbroken, tmp_path):
    check_resume(CONFIG, images, unbroken, tmp_path)


@pytest.mark.heavy
def test_killed_demo_resumes_to_the_same_result(tmp_path):
    """The demo itself, on 160 of its pictures."""
    options = {
        'train_cfg.max_epochs': 3,
        'train_dataloader.dataset.num_samples': 160,
        'val_dataloader.dataset.num_samples': 12,
        'train_dataloader.dataset.cache_dir': tmp_path / 'cache',
        'val_dataloader.dataset.cache_dir': tmp_path / 'cache',
        'default_hooks.logger.interval': 1
    }
    unbroken = tmp_path / 'unbroken'
    run(tool('train.py', DEMO), None, unbroken, options=options)
    assert len(losses(unbroken)) == 15
    check_resume(DEMO, None, unbroken, tmp_path, options=options)


def test_distributed_evaluation_counts_each_image_once(images, unbroken,
                                                       tmp_path):
    """11 images on 2 processes by batches of 3, where one image is padding."""
    checkpoint = unbroken / 'epoch_3.pth'
    results = {}
    for name, command, flags in (
        ('one', [*tool('test.py'), checkpoint], ()),
        ('two', dist_tool('dist_test.sh', checkpoint, 2), ()),
    ):
        out = tmp_path / f'{name}.pkl'
        log = run(
            command,
            images,
            tmp_path / name,
            '--out',
            str(out),
            *flags,
            PORT=free_port())
        results[name] = pickle.loads(out.read_bytes())
        results[f'{name} metrics'] = [
            json.loads(path.read_text())
            for path in (tmp_path / name).glob('*/*.json')
        ]
        assert 'accuracy/top1' in log
    one, two = results['one'], results['two']
    assert len(one) == len(two) == 11
    assert len({sample['img_path'] for sample in two}) == 11
    for sample, other in zip(one, two):
        assert sample['img_path'] == other['img_path']
        assert torch.equal(sample['pred_label'], other['pred_label'])
        torch.testing.assert_close(sample['pred_score'], other['pred_score'])
    metrics, = results['one metrics']
    other, = results['two metrics']
    for key in ('accuracy/top1', 'accuracy/top2'):
        assert metrics[key] == other[key]


@pytest.mark.heavy
def test_two_nodes_train_as_two_processes_of_one_node(images, tmp_path):
    options = {'train_cfg.max_epochs': 1}
    log = run(
        dist_tool('dist_train.sh', 2),
        images,
        tmp_path / 'one_node',
        options=options,
        PORT=free_port())
    # 18 images on two processes by batches of four
    assert '[1][3/3]' in log and 'Epoch(val) [1][2/2]' in log

    port = free_port()
    nodes = [
        start(
            dist_tool('dist_train.sh', 1),
            images,
            tmp_path / 'two_nodes',
            options=options,
            NNODES='2',
            NODE_RANK=str(rank),
            MASTER_ADDR='127.0.0.1',
            PORT=port) for rank in range(2)
    ]
    for node in nodes:
        finish(node)
    assert losses(tmp_path / 'two_nodes') == losses(tmp_path / 'one_node')
    assert_same_weights(tmp_path / 'two_nodes' / 'epoch_1.pth',
                        tmp_path / 'one_node' / 'epoch_1.pth')
