import logging
import pickle

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import collect_results
from mmengine.logging import MMLogger
from mmpretrain.datasets import BaseDataset, CustomDataset
from mmpretrain.registry import DATA_SAMPLERS, METRICS
from PIL import Image
from torch.utils.data import TensorDataset

from intr_mm.datasets.aspect_ratio_sampler import (AspectRatioSampler,
                                                   image_size)
from intr_mm.datasets.image_file import load_image
from ..tiny import build_runner

# height, width; ratios 2, 1/2, 1, 1/2, 2, 1, 1/2
SIZES = [(40, 20), (10, 20), (30, 30), (20, 40), (20, 10), (30, 30), (10, 20)]
ORDER = [1, 6, 3, 2, 5, 4, 0]
RESIZE = [
    dict(type='LoadIntactImage'),
    dict(type='ResizeEdge', scale=32, edge='short'),
    dict(type='PackInputs'),
]


class Listed(BaseDataset):
    """A dataset of what is known of its images."""

    def __init__(self, infos):
        self.infos = infos
        super().__init__(ann_file='')

    def load_data_list(self):
        return self.infos


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / 'class_a'
    folder.mkdir()
    for i, size in enumerate(SIZES):
        cv2.imwrite(str(folder / f'{i}.png'), np.zeros((*size, 3), np.uint8))
    return folder


def files(folder):
    return CustomDataset(data_root=str(folder.parent))


def random_sizes(number):
    sizes = np.random.default_rng(0).integers(40, 64, (number, 2)).tolist()
    return Listed([dict(height=h, width=w) for h, w in sizes])


def on_rank(monkeypatch, rank, world_size=2):
    for module in ('mmengine.dataset.sampler', 'mmengine.dist.dist'):
        monkeypatch.setattr(f'{module}.get_dist_info', lambda:
                            (rank, world_size))


def padded(dataset, indices, batch_size):
    """Pixels of all batches where short edges are 1, and padding evens out."""
    sizes = np.array([image_size(dataset.get_data_info(i)) for i in indices])
    sizes = sizes / sizes.min(1, keepdims=True)
    batches = np.split(sizes, range(batch_size, len(sizes), batch_size))
    return sum(len(batch) * batch.max(0).prod() for batch in batches)


@pytest.mark.parametrize('known', ['file', 'height and width', 'img_shape'])
def test_order_by_ratio_then_height_then_index(folder, known):
    dataset = files(folder)
    if known == 'height and width':
        dataset = Listed([dict(height=h, width=w) for h, w in SIZES])
    elif known == 'img_shape':
        dataset = Listed([dict(img_shape=size) for size in SIZES])
    sampler = DATA_SAMPLERS.build(
        dict(type='AspectRatioSampler', dataset=dataset))
    assert list(sampler) == ORDER and len(sampler) == len(SIZES)


def test_headers_are_read_once(folder, monkeypatch):
    opened = []
    open_image = Image.open
    monkeypatch.setattr(Image, 'open',
                        lambda path: opened.append(path) or open_image(path))
    sampler = AspectRatioSampler(files(folder))
    assert opened == []
    assert list(sampler) == list(sampler) == ORDER
    assert len(opened) == len(SIZES)


@pytest.mark.parametrize('ending', ['jpg', 'png', 'tiff', 'webp'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_size_is_that_of_the_loaded_photo(tmp_path, orientation, ending):
    exif = Image.Exif()
    exif[274] = orientation
    path = str(tmp_path / f'photo.{ending}')
    Image.new('RGB', (30, 20)).save(path, exif=exif)
    _, shape = load_image(path)
    assert image_size(dict(img_path=path)) == shape


def test_damaged_metainfo_hides_no_size(tmp_path):
    path = str(tmp_path / 'photo.jpg')
    Image.new('RGB', (30, 20)).save(path, exif=b'Exif\0\0no orientation')
    _, shape = load_image(path)
    assert image_size(dict(img_path=path)) == shape == (20, 30)


@pytest.mark.parametrize('damage', ['text', 'empty', 'missing'])
def test_unreadable_files_come_last_and_are_named(folder, damage, tmp_path,
                                                  capfd):
    MMLogger.get_instance(tmp_path.name, log_level=logging.INFO)
    dataset = files(folder)
    broken = folder / '6.png'
    broken.write_text('' if damage == 'empty' else 'Not found')
    if damage == 'missing':
        broken.unlink()
    sampler = AspectRatioSampler(dataset)
    assert list(sampler) == [1, 3, 2, 5, 4, 0, 6]
    log = ''.join(capfd.readouterr())
    assert f"no size for 1 of 7 images, such as '{broken}'" in log


def test_refused():
    with pytest.raises(ValueError, match='does not shuffle'):
        AspectRatioSampler(random_sizes(2), shuffle=True)
    with pytest.raises(TypeError, match='get_data_info.*TensorDataset'):
        AspectRatioSampler(TensorDataset(torch.zeros(2)))


@pytest.mark.parametrize('world_size', [1, 2])
def test_batches_need_little_padding(monkeypatch, world_size):
    dataset = random_sizes(101)
    pixels = {}
    for sampler_type in (DefaultSampler, AspectRatioSampler):
        pixels[sampler_type] = 0
        for rank in range(world_size):
            on_rank(monkeypatch, rank, world_size)
            sampler = sampler_type(dataset, shuffle=False)
            pixels[sampler_type] += padded(dataset, sampler, batch_size=4)
    every_image_alone = padded(dataset, range(101), batch_size=1)
    waste = {k: v / every_image_alone - 1 for k, v in pixels.items()}
    assert waste[AspectRatioSampler] < .25 * waste[DefaultSampler]


@pytest.mark.parametrize('number', [1, 10, 11])
def test_two_processes_count_each_image_once(number, monkeypatch, tmp_path):
    dataset = random_sizes(number)
    # The first process collects what the others have written.
    for rank in (1, 0):
        on_rank(monkeypatch, rank)
        share = list(AspectRatioSampler(dataset, seed=0))
        assert len(share) == -(-number // 2)
        collected = collect_results(share, number, tmpdir=str(tmp_path / 'c'))
    on_rank(monkeypatch, 0, 1)
    assert collected == list(AspectRatioSampler(dataset))
    assert sorted(collected) == list(range(number))


def test_without_repeats_shares_are_uneven(monkeypatch):
    shares = []
    for rank in range(2):
        on_rank(monkeypatch, rank)
        sampler = AspectRatioSampler(random_sizes(5), seed=0, round_up=False)
        shares.append(list(sampler))
        assert len(sampler) == len(shares[rank])
    assert [len(share) for share in shares] == [3, 2]
    assert sorted(sum(shares, [])) == list(range(5))


def evaluate(images, work_dir, sampler):
    """Metrics of an untrained model, and its predictions as dumped."""
    out = work_dir / f'{sampler}.pkl'
    runner = build_runner(
        images,
        work_dir,
        randomness=dict(seed=0),
        # Without padding, scores do not depend on the other images.
        test_dataloader__batch_size=1,
        test_dataloader__sampler__type=sampler,
        test_dataloader__dataset__pipeline=RESIZE,
        test_evaluator=[
            dict(type='Accuracy'),
            dict(type='OrderedDumpResults', out_file_path=str(out))
        ])
    metrics = runner.test()
    drawn = list(runner.test_dataloader.sampler)
    return metrics, pickle.loads(out.read_bytes()), drawn


def test_evaluation_gives_the_same_in_the_same_order(images, tmp_path):
    metrics, results, places = evaluate(images, tmp_path, 'DefaultSampler')
    other, dumped, drawn = evaluate(images, tmp_path, 'AspectRatioSampler')
    assert places == list(range(11)) != drawn
    assert other == metrics
    for place, (one, two) in enumerate(zip(results, dumped)):
        assert one['sample_idx'] == two['sample_idx'] == place
        assert one['img_path'] == two['img_path']
        torch.testing.assert_close(one['pred_score'], two['pred_score'])


@pytest.mark.parametrize('indices', [(1, None, 0), (1, 0, 1)])
def test_order_stays_without_unique_indices(indices, tmp_path, capfd):
    MMLogger.get_instance(tmp_path.name, log_level=logging.INFO)
    out = tmp_path / 'out.pkl'
    dump = METRICS.build(
        dict(type='OrderedDumpResults', out_file_path=str(out)))
    samples = [dict(place=i) for i in range(3)]
    for sample, index in zip(samples, indices):
        if index is not None:
            sample['sample_idx'] = index
    dump.process(None, samples)
    dump.evaluate(3)
    assert pickle.loads(out.read_bytes()) == samples
    assert "'sample_idx' is missing or not unique" in ''.join(
        capfd.readouterr())
