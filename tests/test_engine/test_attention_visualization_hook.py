import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.runner import Runner
from mmpretrain.structures import DataSample

from intr_mm.command_line.machine import let_gloo_finish
from intr_mm.datasets import RingSpecies
from intr_mm.engine import AttentionVisualizationHook
from intr_mm.evaluation import OrderedDumpResults
from ..tiny import tiny_cfg

CHANGES = dict(
    neck=None, head__in_channels=32, head__num_classes=12, head__num_layers=2)
MODEL = tiny_cfg(**CHANGES)
STOCK = tiny_cfg(**CHANGES, type='ImageClassifier')
EVIDENCE = tiny_cfg(
    **CHANGES,
    head=dict(
        _delete_=True,
        type='EvidenceHead',
        num_classes=12,
        in_channels=32,
        embed_dims=16,
        num_heads=2))
INDICES = (0, 3, 6)


def dataloader(num_samples):
    return dict(
        batch_size=2,
        num_workers=0,
        dataset=dict(
            type='RingSpecies',
            num_samples=num_samples,
            seed=0,
            pipeline=[dict(type='PackInputs')]),
        sampler=dict(type='DefaultSampler', shuffle=False))


def build(work_dir,
          model=MODEL,
          backends=('LocalVisBackend', ),
          test_dataloader=None,
          **hook):
    """A runner that trains, validates and tests on a few images."""
    cfg = dict(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=dataloader(2),
        val_dataloader=dataloader(2),
        test_dataloader=test_dataloader or dataloader(9),
        val_evaluator=dict(type='Accuracy'),
        test_evaluator=dict(type='Accuracy'),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        val_cfg=dict(),
        test_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.01)),
        visualizer=dict(
            type='UniversalVisualizer',
            vis_backends=[dict(type=name) for name in backends]),
        default_hooks=dict(checkpoint=None),
        custom_hooks=[
            dict(dict(type='AttentionVisualizationHook', interval=3), **hook)
        ],
        launcher='pytorch' if dist.is_initialized() else 'none',
        model_wrapper_cfg=dict(
            type='MMDistributedDataParallel', device_ids=None),
        randomness=dict(seed=0),
        experiment_name=f'attention_{work_dir.name}',
        default_scope='mmpretrain',
        log_level='WARNING')
    return Runner.from_cfg(Config(cfg))


def pictures(folder):
    """What was written, by file name."""
    return {
        path.name: cv2.imread(str(path))
        for path in Path(folder).rglob('*.png')
    }


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('single')
    build(work_dir).test()
    return pictures(work_dir)


def test_every_third_sample(written):
    names = RingSpecies(num_samples=1, seed=0).metainfo['classes']
    assert len(written) == 3
    for index, name in zip(INDICES, sorted(written)):
        found = re.fullmatch(r'attention_test_(\d)_(.+)_0\.(\d\d)_0\.png',
                             name)
        assert int(found[1]) == index
        assert found[2].replace('-', ' ') in names


def test_mmpretrain_classifier_gives_the_same(written, tmp_path):
    build(tmp_path, model=STOCK).test()
    assert_same(pictures(tmp_path), written)


@pytest.mark.parametrize('collate', ['default_collate', 'pseudo_collate'])
def test_first_view_of_test_time_augmentation(written, tmp_path, collate):
    """Two views that are no different give what one gives."""
    view = dict(type='RandomFlip', prob=0.)
    test_dataloader = dataloader(9)
    # more images than views: their places are not mixed up
    test_dataloader['batch_size'] = 4
    test_dataloader['collate_fn'] = dict(type=collate)
    test_dataloader['dataset']['pipeline'] = [
        dict(
            type='TestTimeAug',
            transforms=[[view, view], [dict(type='PackInputs')]])
    ]
    model = dict(type='AverageClsScoreTTA', module=MODEL)
    build(tmp_path, model=model, test_dataloader=test_dataloader).test()
    # asked again alone, whose sums are rounded otherwise than a batch's
    assert_same(pictures(tmp_path), written, atol=1)


def test_tensorboard_and_local(written, tmp_path):
    event_accumulator = pytest.importorskip(
        'tensorboard.backend.event_processing.event_accumulator')
    build(
        tmp_path,
        backends=('LocalVisBackend', 'TensorboardVisBackend')).test()
    assert_same(pictures(tmp_path), written)
    event_file, = tmp_path.rglob('events.out.tfevents*')
    events = event_accumulator.EventAccumulator(
        str(event_file), size_guidance=dict(images=0))
    events.Reload()
    # under the true class, which stays from epoch to epoch
    dataset = RingSpecies(num_samples=9, seed=0)
    names = dataset.metainfo['classes']
    tags = [
        f"attention_test/{i}_{names[label].replace(' ', '-')}"
        for i, label in zip(INDICES,
                            dataset.get_gt_labels()[::3])
    ]
    assert sorted(events.Tags()['images']) == tags
    event, = events.Images(tags[1])
    image = cv2.imdecode(
        np.frombuffer(event.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[1] <= 1024  # TensorBoard shows it as it is
    file, = (name for name in written if name.startswith('attention_test_3_'))
    np.testing.assert_array_equal(image, written[file])


def test_out_dir_replaces_the_backends(written, tmp_path):
    out_dir = tmp_path / 'pictures'
    build(tmp_path, out_dir=str(out_dir)).test()
    assert_same(pictures(tmp_path), written)
    assert len(list(out_dir.iterdir())) == 3


def test_report_of_each_validation(tmp_path):
    build(tmp_path, report=True, classes=('pred', 'gt', 'top2')).train()
    reports = sorted(tmp_path.rglob('*.html'))
    assert [path.name for path in reports
            ] == [f'attention_val_{epoch}.html' for epoch in (1, 2)]
    assert {path.parent.name for path in reports} == {'vis_data'}
    item, = report_items(reports[1])
    assert len(item['classes']) >= 2 and item['layers'] == [1]
    assert item['pred'] in item['classes'] and item['gt'] in item['classes']


def test_report_lies_beside_the_pictures(tmp_path):
    out_dir = tmp_path / 'pictures'
    build(tmp_path, report=True, out_dir=str(out_dir), layer=0).test()
    assert [path.name
            for path in tmp_path.rglob('*.html')] == ['attention_test_0.html']
    items = report_items(out_dir / 'attention_test_0.html')
    assert [item['name']
            for item in items] == [f'sample {i}' for i in (0, 3, 6)]
    assert {item['layers'][0] for item in items} == {0}


def report_items(path):
    text = re.search(r'id="items">(.*?)</script>', path.read_text())[1]
    return json.loads(text)


def test_disabled(tmp_path):
    build(tmp_path, enable=False).test()
    assert pictures(tmp_path) == {}


def test_each_class_has_one_row(tmp_path):
    heights = []
    for name, classes in [('one', ('pred', 'top1')), ('two', ('top2', 'pred')),
                          ('three', (0, 5, 11, 5))]:
        build(tmp_path / name, classes=classes, interval=9).test()
        picture, = pictures(tmp_path / name).values()
        heights.append(len(picture))
    assert heights[1] - heights[0] == heights[2] - heights[1] > 200


def test_a_picture_of_each_epoch(tmp_path):
    build(tmp_path).train()
    names = sorted(pictures(tmp_path))
    assert len(names) == 2
    assert {re.sub('_0_.*_', '_', name)
            for name in names
            } == {'attention_val_1.png', 'attention_val_2.png'}


def test_draws_from_the_pass_of_the_prediction(tmp_path):
    """Backbone and decoder run once for each batch, and the maps are those of
    the predictions that the metrics see."""
    runner = build(tmp_path)
    calls = []
    for part in (runner.model.backbone, runner.model.head.decoder):
        part.register_forward_hook(lambda *_: calls.append(1))
    runner.test()
    assert len(calls) == 2 * len(runner.test_dataloader)
    assert runner.model.head.test_cfg == {}


@pytest.mark.parametrize('kind', ['attention', 'evidence'])
def test_says_what_maps_decide_and_dumps_none(tmp_path, kind):
    model = EVIDENCE if kind == 'evidence' else MODEL
    runner = build(tmp_path, model=model, report=True)
    dump = tmp_path / 'predictions.pkl'
    runner.test_evaluator.metrics.append(OrderedDumpResults(str(dump)))
    runner.test()
    for item in report_items(next(tmp_path.rglob('*.html'))):
        assert item['kind'] == kind
        assert 0 < item['even']['score'] < 1
    for prediction in load(dump):
        assert not [key for key in prediction if key.startswith('drawing')]


def test_image_without_true_class(tmp_path):
    runner = build(tmp_path)
    hook = next(
        hook for hook in runner.hooks
        if isinstance(hook, AttentionVisualizationHook))
    runner.model.eval()
    runner.test_loop
    image = torch.zeros(3, 96, 96, dtype=torch.uint8)
    batch = dict(inputs=[image], data_samples=[DataSample()])
    hook.before_test_iter(runner, 0, batch)
    outputs = runner.model.test_step(batch)
    hook.after_test_iter(runner, 0, batch, outputs)
    name, = pictures(tmp_path)
    assert re.fullmatch(r'attention_test_0_.+_0\.\d\d_0\.png', name)


def test_other_models_are_refused(tmp_path):
    head = dict(type='LinearClsHead', num_classes=12, in_channels=32)
    model = dict(STOCK, head=head, neck=dict(type='GlobalAveragePooling'))
    with pytest.raises(TypeError, match='INTRHead'):
        build(tmp_path, model=model).test()
    build(tmp_path / 'disabled', model=model, enable=False).test()


def worker(rank, work_dir):
    os.environ['LOCAL_RANK'] = str(rank)
    dist.init_process_group(
        'gloo',
        init_method=f'file://{work_dir}/rendezvous',
        rank=rank,
        world_size=2)
    build(work_dir, report=True).test()
    let_gloo_finish()


@pytest.mark.slow
@pytest.mark.skipif(
    torch.cuda.is_available(), reason='the processes work on the CPU')
def test_two_processes_write_the_same_once(written, tmp_path):
    """Nine samples: the sampler repeats the first one to make ten."""
    mp.spawn(worker, (tmp_path, ), nprocs=2)
    assert_same(pictures(tmp_path), written)
    report, = tmp_path.rglob('*.html')
    assert [item['name'] for item in report_items(report)
            ] == [f'sample {i}' for i in (0, 3, 6)]


def assert_same(found, expected, atol=0):
    """Pictures of the same names, whose pixels differ by ``atol`` at most."""
    assert sorted(found) == sorted(expected)
    for name, image in expected.items():
        assert found[name].shape == image.shape
        assert np.abs(found[name].astype(int) - image).max() <= atol
