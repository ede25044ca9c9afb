"""Batches of like shape of views that are as random as ever."""
from itertools import combinations

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, DefaultSampler, InfiniteSampler
from mmengine.runner import Runner
from mmpretrain.datasets import BaseDataset
from scipy.stats import ks_2samp, pearsonr
from torch.utils.data import BatchSampler

from intr_mm.datasets import DETRAugment, ViewShapeBatchSampler
from ..tiny import build_runner

# Width / height of the photos of CUB-200-2011 (50 classes): its deciles.
RATIOS = [.38, .72, .83, 1.06, 1.25, 1.33, 1.36, 1.46, 1.5, 1.5, 2.56]
# A twentieth of DETR's pixels.
SMALL = dict(
    type='DETRAugment',
    scales=range(24, 41, 2),
    max_size=66,
    crop_scales=(20, 25, 30),
    crop_size=(19, 30))


def blank(results):
    return dict(
        results, img=np.zeros((*results['img_shape'], 3), np.uint8), crop=0)


class Shapes(BaseDataset):
    """Blank photos of CUB's shapes."""

    def __init__(self, number, augment=dict(type='DETRAugment'), edge=500):
        self.shapes = []
        places = np.random.default_rng(0).random(number) * (len(RATIOS) - 1)
        for ratio in np.interp(places, range(len(RATIOS)), RATIOS):
            width, height = min(1, ratio), min(1, 1 / ratio)
            self.shapes.append((round(edge * height), round(edge * width)))
        super().__init__(ann_file='', pipeline=[blank, augment])

    def load_data_list(self):
        return [dict(img_shape=shape) for shape in self.shapes]


def build(number=600, batch_size=12, drop_last=True, seed=0, **kwargs):
    sampler = DefaultSampler(Shapes(number, **kwargs), seed=seed)
    return ViewShapeBatchSampler(sampler, batch_size, drop_last)


def epoch_of(batches, epoch):
    batches.sampler.set_epoch(epoch)
    return list(batches)


def views(batches):
    """Height and width of each view of the epoch that was drawn last."""
    return np.array([
        batches.view.view_shape(index, shape)
        for index, shape in enumerate(batches.sampler.dataset.shapes)
    ])


def padding(shapes, batches):
    padded = sum(len(batch) * shapes[batch].max(0).prod() for batch in batches)
    return 1 - sum(shapes[batch].prod(1).sum() for batch in batches) / padded


def on_rank(monkeypatch, rank, world_size):
    monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda:
                        (rank, world_size))


@pytest.mark.parametrize('batch_size, least, most', [(4, .3, .05),
                                                     (12, .45, .1)])
def test_little_padding(batch_size, least, most):
    batches = build(1500, batch_size)
    by_shape = epoch_of(batches, 0)
    at_random = BatchSampler(batches.sampler, batch_size, True)
    assert padding(views(batches), at_random) > least
    assert padding(views(batches), by_shape) < most


def test_large_sets_are_sorted_in_parts(monkeypatch):
    """So that the first batch need not wait for all."""
    monkeypatch.setattr(
        'intr_mm.datasets.view_shape_batch_sampler._MAX_SORTED', 500)
    batches = build(1200)
    drawn, view_shape = [], batches.view.view_shape
    monkeypatch.setattr(batches.view, 'view_shape',
                        lambda *args: drawn.append(args) or view_shape(*args))
    iterator = iter(batches)
    first = next(iterator)
    assert len(drawn) == 492  # whole batches
    indices = sum(iterator, first)
    assert sorted(indices) == list(range(1200))


@pytest.mark.parametrize('number', [5, 12, 60, 61])
@pytest.mark.parametrize('drop_last', [False, True])
def test_each_image_once(number, drop_last):
    batches = build(number, drop_last=drop_last)
    drawn = epoch_of(batches, 0)
    assert len(drawn) == len(batches)
    indices = sum(drawn, [])
    assert len(set(indices)) == len(indices)
    assert len(indices) == (number // 12 * 12 if drop_last else number)


def test_order_is_random_and_follows_from_seed_and_epoch():
    batches, same, other = build(), build(), build(seed=1)
    first, second = epoch_of(batches, 0), epoch_of(batches, 1)
    assert epoch_of(same, 0) == first and epoch_of(same, 1) == second
    assert epoch_of(other, 0) not in (first, second)
    # Nothing of an epoch tells where an image comes in the next, or its shape.
    places = [np.argsort(sum(epoch, [])) for epoch in (first, second)]
    areas = views(batches).prod(1)
    for values in (places[0], areas, range(600)):
        assert pearsonr(places[1], values).pvalue > .01


def test_images_meet_others_in_each_epoch():
    """With CUB's shapes, little more often than at random."""
    batches, epochs = build(300), 8
    met = [{
        pair
        for batch in epoch_of(batches, epoch)
        for pair in combinations(sorted(batch), 2)
    } for epoch in range(epochs)]
    again = np.mean(
        [len(one & two) / len(one) for one, two in zip(met, met[1:])])
    assert again < 3 * 11 / 299
    # An image shares a batch with nearly as many others as it could.
    assert len(set().union(*met)) > .6 * epochs * len(met[0])


def test_images_left_out_are_any():
    batches = build(71)
    missing = np.zeros(71, int)
    for epoch in range(60):
        shown = sum(epoch_of(batches, epoch), [])
        missing[list(set(range(71)) - set(shown))] += 1
    assert missing.sum() == 60 * 11 and missing.min() > 0
    ratios = [height / width for height, width in batches.image_shapes]
    assert pearsonr(missing, ratios).pvalue > .01


def test_views_are_distributed_as_without_it():
    """And independent of those of the next epoch and the next image."""
    batches, alone = build(300), DETRAugment()
    np.random.seed(0)
    shapes = batches.sampler.dataset.shapes
    drawn = {True: [], False: []}
    for epoch in range(10):
        batches.view.set_epoch(0, epoch)
        for index, shape in enumerate(shapes):
            for by_shape, view, random in ((True, batches.view,
                                            batches.view._random(index)),
                                           (False, alone, np.random)):
                flip, box, size, scale = view._random_view(shape[::-1], random)
                part = (box[2] - box[0]) * (box[3] - box[1]) / np.prod(shape)
                drawn[by_shape].append((flip, part, *box, *size, scale[1]))
    for one, two in zip(*(np.array(rows, float).T for rows in drawn.values())):
        assert ks_2samp(one, two).pvalue > .01
    # epochs, images
    flips, *_, scales = np.array(drawn[True], float).T.reshape(-1, 10, 300)
    pairs = [(flips, scales)]
    for values in (flips, scales):
        pairs += [(values[1:], values[:-1]), (values[:, 1:], values[:, :-1])]
    for one, two in pairs:
        assert pearsonr(one.ravel(), two.ravel()).pvalue > .01


@pytest.mark.parametrize('number', [240, 250, 251])
@pytest.mark.parametrize('drop_last', [False, True])
def test_processes_share_an_epoch(monkeypatch, number, drop_last):
    shares = []
    for rank in range(2):
        on_rank(monkeypatch, rank, 2)
        batches = build(number, drop_last=drop_last)
        shares.append(epoch_of(batches, 3))
        assert len(shares[rank]) == len(batches)
    one, two = (sum(share, []) for share in shares)
    assert len(one) == len(two) and len(set(one)) == len(one)
    # one image is repeated where they are odd, as by DefaultSampler
    assert len(set(one) & set(two)) <= number % 2
    if not drop_last:
        assert set(one + two) == set(range(number))
    # batches of a step are as large
    areas = views(batches).prod(1)
    steps = [[areas[batch].mean() for batch in step] for step in zip(*shares)]
    assert pearsonr(*np.transpose(steps[:number // 24])).statistic > .9


@pytest.mark.parametrize('workers', [0, 2])
def test_workers_make_the_views_that_were_foretold(workers):
    loader = Runner.build_dataloader(
        dict(
            batch_size=4,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=dict(type='pseudo_collate'),
            dataset=Shapes(30, SMALL, edge=50),
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_sampler=dict(type='mmpretrain.ViewShapeBatchSampler')),
        seed=0)
    epochs = []
    for epoch in range(2):
        loader.batch_sampler.sampler.set_epoch(epoch)
        shown = {
            index: (*shape, flip)
            for batch in loader
            for index, shape, flip in zip(
                batch['sample_idx'], zip(*batch['img_shape']), batch['flip'])
        }
        assert sorted(shown) == list(range(30))
        expected = views(loader.batch_sampler)
        for index, (height, width, _) in shown.items():
            assert (height, width) == tuple(expected[index])
        epochs.append(shown)
    same = sum(epochs[0][index] == epochs[1][index] for index in range(30))
    assert same < 5


def test_images_of_unknown_size_are_shown_too(tmp_path):
    dataset = Shapes(30)
    dataset.get_data_info = lambda index: dict(img_path=f'{index}.jpg')
    batches = ViewShapeBatchSampler(DefaultSampler(dataset, seed=0), 4)
    assert sorted(sum(batches, [])) == list(range(30))


def test_a_run_trains_on_them(images, tmp_path):
    """The runner tells the epoch, also to one that is resumed."""
    pipeline = [
        dict(type='LoadIntactImage', ignore_empty=True),
        SMALL,
        dict(type='PackInputs'),
    ]

    def shapes_of(work_dir, **changes):
        runner = build_runner(
            images,
            tmp_path / work_dir,
            train_dataloader__batch_sampler=dict(
                type='ViewShapeBatchSampler', drop_last=True),
            train_dataloader__dataset__pipeline=pipeline,
            train_cfg__max_epochs=2,
            param_scheduler=None,
            val_dataloader=None,
            val_evaluator=None,
            val_cfg=None,
            **changes)
        seen, step = [], runner.model.train_step

        def train_step(data, optim_wrapper):
            seen.append([tuple(image.shape[1:]) for image in data['inputs']])
            return step(data, optim_wrapper)

        runner.model.train_step = train_step
        runner.train()
        return seen

    unbroken = shapes_of('unbroken')
    assert len(unbroken) == 8 and unbroken[:4] != unbroken[4:]
    resumed = shapes_of(
        'resumed',
        load_from=str(tmp_path / 'unbroken' / 'epoch_1.pth'),
        resume=True)
    assert resumed == unbroken[4:]


def test_refused():
    dataset = Shapes(10)
    for sampler, words in ((InfiniteSampler(dataset), 'not InfiniteSampler'),
                           (DefaultSampler(ConcatDataset([dataset, dataset])),
                            'ConcatDataset'),
                           (DefaultSampler(Shapes(10, blank)),
                            'finds no transform.*Shapes'),
                           (DefaultSampler(torch.zeros(3)),
                            'finds no transform.*Tensor')):
        with pytest.raises(TypeError, match=words + '.*batch_sampler=None'):
            ViewShapeBatchSampler(sampler, 4)
    for setting in ('shuffle', 'round_up'):
        with pytest.raises(ValueError, match='shuffle and round_up'):
            ViewShapeBatchSampler(
                DefaultSampler(dataset, **{setting: False}), 4)


def test_fewer_images_than_a_batch(images, tmp_path):
    runner = build_runner(
        images,
        tmp_path,
        train_dataloader__batch_size=64,
        train_dataloader__batch_sampler=dict(
            type='ViewShapeBatchSampler', drop_last=True),
        train_dataloader__dataset__pipeline=[
            dict(type='LoadIntactImage', ignore_empty=True),
            SMALL,
            dict(type='PackInputs'),
        ],
        param_scheduler=None)
    with pytest.raises(ValueError, match='batch of 64 .*batch_sampler.drop_l'):
        runner.train()
