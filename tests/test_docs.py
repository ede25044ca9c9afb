"""The code of ``docs/advanced_guides`` works as it stands there."""
import importlib
import itertools

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.registry import METRICS, MODELS, TASK_UTILS

from intr_mm.models import explain_batch
from intr_mm.structures import infer_cell_geometry
from .docs_code import DOCS, blocks, write_files
from .tiny import ROOT

_count = itertools.count()
SHAPES = (64, 64), (48, 80)


@pytest.fixture(scope='module')
def mine(tmp_path_factory):
    """A clone with a folder ``mine``, into which all guides are written."""
    root = tmp_path_factory.mktemp('clone')
    (root / 'configs').symlink_to(ROOT / 'configs')
    folder = root / 'mine'
    folder.mkdir()
    for page in sorted((DOCS / 'advanced_guides').glob('*.md')):
        assert write_files(page, folder), page
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


def load(mine, name):
    """A config of a guide, on a few images."""
    cfg = Config.fromfile(mine / name)
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.batch_size = 4
        if loader.dataset.type == 'RingSpecies':
            loader.dataset.update(num_samples=8, cache_dir=None)
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.visualization.enable = False
    cfg.work_dir = str(mine.parent / 'work_dirs')
    # runners of one name share their state
    cfg.experiment_name = f'guide_{next(_count)}'
    return cfg


def build(mine, name):
    torch.manual_seed(0)
    model = MODELS.build(load(mine, name).model)
    model.init_weights()
    # Attention that differs from cell to cell, which drawn weights hardly do.
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=.3)
    return model.eval()


def images():
    torch.manual_seed(1)
    return [255 * torch.rand(3, *shape) for shape in SHAPES]


# add_head


def test_head_from_scratch_trains_and_is_evaluated(mine):
    runner = Runner.from_cfg(load(mine, 'one_look_demo.py'))
    runner.train()
    figures = runner.test()
    assert 0 <= figures['pointing/bird'] <= 100
    assert 0 <= figures['even_attention/top1'] <= 100


@torch.no_grad()
def test_head_from_scratch_keeps_the_contract(mine):
    model = build(mine, 'one_look_demo.py')
    samples, decoded = explain_batch(model, images(), classes=('top3', ))
    head = model.head
    for sample, (height, width) in zip(samples, SHAPES):
        assert sample.attention.shape == (1, 3, 1, height // 8, width // 8)
        sums = sample.attention.sum((-2, -1))
        torch.testing.assert_close(sums, torch.ones_like(sums))
    maps = head.maps(decoded)
    assert (maps * decoded.padding_mask[:, None, None] == 0).all()
    assert decoded.logits.std() > 0
    torch.testing.assert_close(head.rescore(decoded, maps), decoded.logits)
    classes = torch.tensor([[3, 1], [0, 5]])
    torch.testing.assert_close(
        head.rescore(decoded, head.maps(decoded, classes), classes),
        decoded.logits.gather(1, classes))
    evidence = TASK_UTILS.build(dict(type='EvidenceExplainer'))
    assert len(evidence(model, images(), classes[:, 0])) == 2


def test_approximate_head_is_tested(mine):
    runner = Runner.from_cfg(load(mine, 'approx_demo.py'))
    assert runner.test()['accuracy/top4'] >= 0
    assert runner.model.head.num_candidates == 4


def approx(mine, **kwargs):
    importlib.import_module('approx_head')
    torch.manual_seed(0)
    head = MODELS.build(
        dict(
            type='ApproxINTRHead'
            if 'num_candidates' in kwargs else 'INTRHead',
            num_classes=9,
            embed_dims=16,
            num_heads=2,
            feedforward_channels=32,
            **kwargs))
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=.4)
    return head.eval()


@pytest.fixture
def inputs():
    torch.manual_seed(1)
    mask = torch.zeros(3, 4, 5, dtype=torch.bool)
    mask[1, 2:] = True
    return (torch.randn(3, 16, 4, 5), ), mask


def test_all_candidates_are_exact(mine, inputs):
    torch.testing.assert_close(
        approx(mine, num_layers=3, num_candidates=9)(*inputs),
        approx(mine, num_layers=3)(*inputs))


def test_one_layer_knows_the_best(mine, inputs):
    exact = approx(mine, num_layers=1)(*inputs)
    found = approx(mine, num_layers=1, num_candidates=4)(*inputs)
    best = exact.topk(4).indices
    assert (found > float('-inf')).sum(1).tolist() == [4] * 3
    torch.testing.assert_close(found.gather(1, best), exact.gather(1, best))


def test_candidates_see_each_other_only(mine, inputs):
    """As a head would that has no other classes."""
    head = approx(mine, num_layers=3, num_candidates=4)
    feats, mask = (inputs[0][0][:1], ), inputs[1][:1]
    logits = head(feats, mask)[0]
    chosen = (logits > float('-inf')).nonzero()[:, 0]
    few = approx(mine, num_layers=3)
    few.num_classes = 4
    few.query_embed.weight = torch.nn.Parameter(few.query_embed.weight[chosen])
    torch.testing.assert_close(logits[chosen], few(feats, mask)[0])


def test_training_and_maps_are_exact(mine, inputs):
    head = approx(mine, num_layers=2, num_candidates=2, dropout=0.)
    assert head.train()(*inputs).isfinite().all()
    head.eval()
    plain = head.predict(inputs[0], padding_mask=inputs[1])
    assert all((sample.pred_score > 0).sum() == 2 for sample in plain)
    asked = head.predict(
        inputs[0], padding_mask=inputs[1], attention=dict(classes=('pred', )))
    assert all((sample.pred_score > 0).all() for sample in asked)


@pytest.mark.parametrize('kwargs', [
    dict(num_candidates=0),
    dict(num_candidates=10),
    dict(num_candidates=3, queries_per_class=2)
])
def test_impossible_candidates(mine, kwargs):
    with pytest.raises(ValueError, match='has to lie between 1 and the 9 cl'):
        approx(mine, **kwargs)


# add_explainer


@pytest.mark.parametrize('name', ['brightness_demo.py', 'weighed_demo.py'])
def test_explainers_are_evaluated(mine, name):
    cfg = load(mine, name)
    for metric in cfg.test_evaluator:
        if metric.type == 'InsertionDeletion':
            metric.update(sample_interval=4, steps=2)
    figures = Runner.from_cfg(cfg).test()
    assert 0 <= figures['pointing/telling'] <= 100


def test_weighed_attention_follows_the_values(mine):
    model = build(mine, 'weighed_demo.py')
    explainer = TASK_UTILS.build(load(mine, 'weighed_demo.py').explainer)
    plain = TASK_UTILS.build(dict(type='AttentionExplainer', heads='each'))
    classes = torch.tensor([2, 7])
    weighed = explainer(model, images(), classes)
    attention = plain(model, images(), classes)
    for one, other, (height, width) in zip(weighed, attention, SHAPES):
        assert one.maps.shape == (1, height // 8, width // 8)
        assert one.geometry == other.geometry
        assert one.img_shape == (height, width)
        factor = one.maps / other.maps.mean(0)
        assert factor.std() > 1e-3 * factor.mean()


# add_metric


def test_metric_is_reported(mine):
    figures = Runner.from_cfg(load(mine, 'mirror_demo.py')).test()
    assert 0 <= figures['mirror/same'] <= 100
    assert 0 < figures['mirror/by_chance'] <= 100


def test_metric_knows_a_symmetric_image(mine):
    build(mine, 'mirror_demo.py')
    metric = METRICS.build(dict(type='MirrorConsistency'))
    map_ = torch.tensor([[.5, .25, .25]])
    metric.results = [dict(same=1., map=map_, turned=map_)] * 2
    assert metric.compute_metrics(metric.results) == dict(
        same=100, overlap=100, by_chance=100)
    one = dict(same=0., map=map_, turned=map_.flip(-1))
    assert metric.compute_metrics([one])['overlap'] == 75


# add_dataset


def write_masked(root, num=4):
    rng = np.random.default_rng(0)
    for split, kind in itertools.product(('train', 'val'), ('red', 'blue')):
        for folder in (root / split / kind, root / 'masks' / split / kind):
            folder.mkdir(parents=True)
        for i in range(num):
            image = rng.integers(0, 256, (40, 60, 3), np.uint8)
            mask = np.zeros((40, 60), np.uint8)
            mask[10:30] = 1
            mask[10:30, :20] = 2
            cv2.imwrite(str(root / split / kind / f'{i}.png'), image)
            cv2.imwrite(str(root / 'masks' / split / kind / f'{i}.png'), mask)


def test_data_set_trains_and_is_pointed_at(mine, tmp_path):
    write_masked(tmp_path)
    cfg = load(mine, 'masked_demo.py')
    assert cfg.model.head.num_classes is None  # the tools take it from data
    cfg.model.head.num_classes = 2
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.data_root = str(tmp_path)
    runner = Runner.from_cfg(cfg)
    runner.train()
    figures = runner.test()
    assert figures['pointing/bird_area'] == pytest.approx(50)
    assert figures['pointing/telling_area'] == pytest.approx(50 / 3, abs=.1)
    next((tmp_path / 'masks/val/red').glob('*.png')).unlink()
    with pytest.raises(FileNotFoundError, match='finds no mask'):
        for i in range(8):
            runner.test_dataloader.dataset[i]


# add_backbone


def test_backbone_trains_and_places_cells(mine, monkeypatch, capsys):
    runner = Runner.from_cfg(load(mine, 'plain_demo.py'))
    runner.train()
    assert infer_cell_geometry(runner.model).stride == 8
    check = blocks(DOCS / 'advanced_guides/add_backbone.md', 'python')[-1]
    monkeypatch.chdir(mine.parent)
    exec(check, {})
    assert 'CellGeometry(stride=8.0, offset=0.0)' in capsys.readouterr().out
