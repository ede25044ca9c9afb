import errno
import hashlib
import inspect
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from mmpretrain.registry import DATASETS

from intr_mm.datasets import RingSpecies
from intr_mm.datasets.ring_species.anatomy import (PARTS, SPECIES,
                                                   attributes_of,
                                                   telling_parts_of)
from intr_mm.datasets.ring_species.painting import PART_LABELS

META_KEYS = ('part_mask', 'telling_parts', 'differing_parts', 'pair_id',
             'repainted')


def fingerprint(dataset):
    digest = hashlib.sha256()
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        digest.update(info['img'].tobytes())
        digest.update(info['part_mask'].tobytes())
        digest.update(bytes([info['gt_label']]))
    return digest.hexdigest()


@pytest.fixture(scope='module')
def pairs():
    return RingSpecies(num_samples=24, seed=3, counterfactual=True)


def test_neighbours_on_the_ring_differ_in_one_part_and_others_in_more():
    table = np.array([attributes_of(species) for species in range(12)])
    distance = (table[:, None] != table).sum(-1)
    steps = np.abs(np.arange(12)[:, None] - np.arange(12))
    steps = np.minimum(steps, 12 - steps)
    assert (distance[steps == 1] == 1).all()
    assert (distance[steps > 1] >= 2).all()


def test_telling_parts_are_those_that_differ_from_the_neighbours():
    for species in range(12):
        own = np.array(attributes_of(species))
        for neighbour, part in zip((species - 1, species + 1),
                                   telling_parts_of(species)):
            other = attributes_of(neighbour % 12)
            assert np.flatnonzero(own != other).tolist() == [part]


def test_two_values_of_its_telling_parts_identify_a_species():
    for species in range(12):
        parts = list(telling_parts_of(species))
        own = np.array(attributes_of(species))[parts]
        same = [
            other for other in range(12)
            if (np.array(attributes_of(other))[parts] == own).all()
        ]
        assert same == [species]


@pytest.mark.slow
def test_a_seed_draws_the_same_in_another_process():
    script = ('import hashlib, sys; sys.path[:0] = {!r}\n'
              'from intr_mm.datasets import RingSpecies\n{}\n'
              'print(fingerprint(RingSpecies(num_samples=6, seed=5)))')
    done = subprocess.run([
        sys.executable, '-c',
        script.format(sys.path, inspect.getsource(fingerprint))
    ],
                          capture_output=True,
                          text=True,
                          check=True)
    here = fingerprint(RingSpecies(num_samples=6, seed=5))
    assert done.stdout.split()[-1] == here
    assert fingerprint(RingSpecies(num_samples=6, seed=6)) != here


@pytest.mark.parametrize('index, label, mean, areas', [
    (0, 2, (94.58, 85.34, 136.55), (7966, 287, 189, 99, 119, 165, 276, 115)),
    (1, 1, (154.52, 179.83, 171.3), (8006, 262, 185, 103, 119, 163, 264, 114)),
    (2, 0, (65.84, 58.59, 61.25), (8059, 261, 174, 96, 110, 150, 252, 114)),
])
def test_a_seed_draws_what_it_has_always_drawn(index, label, mean, areas):
    """Up to the few pixels that releases of OpenCV round differently."""
    info = RingSpecies(num_samples=3, seed=0).get_data_info(index)
    assert info['gt_label'] == label
    np.testing.assert_allclose(info['img'].mean((0, 1)), mean, atol=.05)
    np.testing.assert_allclose(
        np.bincount(info['part_mask'].ravel()), areas, atol=3)


def test_global_random_state_is_neither_used_nor_changed():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    first = fingerprint(RingSpecies(num_samples=2, seed=5))
    assert (np.random.get_state()[1] == before).all()
    np.random.seed(1)
    assert fingerprint(RingSpecies(num_samples=2, seed=5)) == first


def test_a_pair_differs_in_the_repainted_part_and_nowhere_else(pairs):
    for index in range(0, len(pairs), 2):
        original, repainted = map(pairs.get_data_info, (index, index + 1))
        assert (original['pair_id'] == repainted['pair_id'] == index // 2)
        assert (original['repainted'], repainted['repainted']) == (False, True)
        step = (repainted['gt_label'] - original['gt_label']) % 12
        assert step in (1, 11)

        part = telling_parts_of(original['gt_label'])[step == 1]
        region = original['part_mask'] == PART_LABELS[PARTS[part]]
        differs = (original['img'] != repainted['img']).any(-1)
        # Outlines and smooth edges reach a pixel beyond the region.
        near = cv2.dilate(region.astype(np.uint8), np.ones((5, 5))) > 0
        assert not (differs & ~near).any()
        assert (differs & region).sum() > .1 * region.sum()
        assert (original['part_mask'] == repainted['part_mask']).all()


def test_pairs_go_both_ways_round_the_ring(pairs):
    labels = pairs.get_gt_labels().reshape(-1, 2)
    steps = (labels[:, 1] - labels[:, 0]) % 12
    assert sorted(steps) == [1] * 12 + [11] * 12


def test_originals_are_the_samples_without_counterfactuals(pairs):
    plain = RingSpecies(num_samples=24, seed=3)
    for index in range(len(plain)):
        alone, original = plain[index], pairs[2 * index]
        assert alone['gt_label'] == original['gt_label']
        assert (alone['img'] == original['img']).all()


def test_classes_are_balanced_and_mixed():
    dataset = RingSpecies(num_samples=36, seed=0)
    labels = dataset.get_gt_labels()
    assert np.bincount(labels).tolist() == [3] * 12
    assert (labels != np.arange(36) % 12).any()
    assert dataset.CLASSES == SPECIES


def test_masks_show_every_part_of_a_bird_that_stands_out(pairs):
    for index in range(0, len(pairs), 2):
        info = pairs.get_data_info(index)
        mask = info['part_mask']
        assert mask.shape == info['img'].shape[:2] == (96, 96)
        area = np.bincount(mask.ravel(), minlength=8)
        assert len(area) == 8
        assert (area[1:] > 20).all()
        assert .08 < 1 - area[0] / mask.size < .3
        expected = [
            PART_LABELS[PARTS[part]]
            for part in telling_parts_of(info['gt_label'])
        ]
        assert list(info['telling_parts']) == expected
        label = info['gt_label']
        for other, values in enumerate(info['differing_parts']):
            on, others = attributes_of(label), attributes_of(other)
            assert list(values) == [
                PART_LABELS[part] for part, *pair in zip(PARTS, on, others)
                if len(set(pair)) > 1
            ]
            assert len(values) == min((label - other) % 12,
                                      (other - label) % 12)
        neighbours = [
            info['differing_parts'][(label + step) % 12] for step in (-1, 1)
        ]
        assert sum(neighbours, ()) == info['telling_parts']


def test_colours_of_the_crown_tell_which_way_it_is(pairs):
    """The label is visible where the mask says, not by chance."""
    redness = {True: [], False: []}
    for index in range(len(pairs)):
        info = pairs.get_data_info(index)
        crown = info['img'][info['part_mask'] == PART_LABELS['crown']]
        blue, _, red = crown.mean(0)
        redness[attributes_of(info['gt_label'])[0]].append(red - blue)
    assert min(redness[True]) > max(redness[False])


def test_other_image_sizes_show_the_same_scene():
    small = RingSpecies(num_samples=3, seed=0).get_data_info(2)
    large = RingSpecies(num_samples=3, seed=0, img_size=192).get_data_info(2)
    assert large['img'].shape == (192, 192, 3)
    shrunk = cv2.resize(
        large['part_mask'], (96, 96), interpolation=cv2.INTER_NEAREST)
    assert ((shrunk > 0) == (small['part_mask'] > 0)).mean() > .97


def test_annotations_travel_through_the_pipeline():
    dataset = DATASETS.build(
        dict(
            type='RingSpecies',
            num_samples=3,
            seed=0,
            counterfactual=True,
            indices=[4, 5],
            pipeline=[dict(type='PackInputs', meta_keys=META_KEYS)]))
    assert len(dataset) == 2
    packed, info = dataset[1], dataset.get_data_info(1)
    sample = packed['data_samples']
    image = packed['inputs'].permute(1, 2, 0).numpy()
    assert (image == info['img']).all()
    assert (sample.part_mask == info['part_mask']).all()
    assert sample.telling_parts == info['telling_parts']
    assert sample.differing_parts == info['differing_parts']
    assert (sample.pair_id, sample.repainted) == (2, True)
    assert sample.gt_label.item() == info['gt_label']


def test_changing_an_item_leaves_the_data_set_alone():
    dataset = RingSpecies(num_samples=1, seed=0)
    before = fingerprint(dataset)
    info = dataset.get_data_info(0)
    info['img'][:] = 0
    info['part_mask'][:] = 0
    assert fingerprint(dataset) == before


def test_cache_holds_what_would_be_drawn(tmp_path, monkeypatch):
    drawn = fingerprint(RingSpecies(num_samples=4, seed=0))
    first = RingSpecies(num_samples=4, seed=0, cache_dir=str(tmp_path))
    assert fingerprint(first) == drawn
    assert len(list(tmp_path.iterdir())) == 1

    monkeypatch.setattr(RingSpecies, '_draw', None)
    again = RingSpecies(num_samples=4, seed=0, cache_dir=str(tmp_path))
    assert fingerprint(again) == drawn
    with pytest.raises(TypeError):
        RingSpecies(num_samples=5, seed=0, cache_dir=str(tmp_path))


def test_cache_of_an_interrupted_run_is_not_left_behind(tmp_path, monkeypatch):

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, 'save', interrupted)
    with pytest.raises(KeyboardInterrupt):
        RingSpecies(num_samples=2, seed=0, cache_dir=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('arguments, message', [
    (dict(num_samples=0, seed=0), 'num_samples of at least 1, got 0'),
    (dict(num_samples=1, seed=-1), 'seed from 0 to .* got -1'),
    (dict(num_samples=1, seed=0, img_size=8), 'at least 32 pixels.* got 8'),
    (dict(num_samples=1, seed=0, num_birds=3), 'num_birds of 1 or 2, got 3'),
    (dict(num_samples=1, seed=0, num_birds=2,
          counterfactual=True), 'repaints scenes of one bird only'),
])
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        RingSpecies(**arguments)


def ring(cache_dir):
    return RingSpecies(num_samples=3, seed=4, cache_dir=str(cache_dir))


@pytest.mark.parametrize('size', [0, 3, 20, 128, 5000])
def test_a_cache_that_is_cut_is_drawn_anew(tmp_path, size):
    expected = fingerprint(ring(tmp_path))
    path, = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    assert fingerprint(ring(tmp_path)) == expected
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == whole


@pytest.mark.parametrize('write', [
    lambda path: path.write_bytes(b'x' * 10000),
    lambda path: path.write_bytes(bytes(10000)),
    lambda path: path.write_bytes(b'PK\3\4' + b'x' * 999),
    lambda path: np.save(path, np.zeros(3)),
    lambda path: np.save(path,
                         np.load(path)[:2]),
    lambda path: np.save(path, np.array([{}], object), allow_pickle=True),
])
def test_another_file_of_that_name_is_not_overwritten(tmp_path, write):
    ring(tmp_path)
    path, = tmp_path.iterdir()
    write(path)
    other = path.read_bytes()
    with pytest.raises(ValueError, match=f"'{path}' has the name .* remove"):
        ring(tmp_path)
    assert path.read_bytes() == other


def test_no_room_for_a_cache(tmp_path, monkeypatch):

    def full(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match=f"'{tmp_path}/seed4_.*npy' .*No space"):
        ring(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope='module')
def two_birds():
    return RingSpecies(num_samples=132, seed=0, img_size=64, num_birds=2)


def test_two_birds_are_of_all_pairs_of_species(two_birds):
    pairs = [two_birds.get_cat_ids(i) for i in range(132)]
    assert len(set(map(tuple, pairs))) == 132
    assert all(one != other for one, other in pairs)


def test_each_of_two_birds_has_its_mask_and_parts(two_birds):
    for index in range(24):
        info = two_birds.get_data_info(index)
        one, other = info['part_mask'] > 0
        assert one.shape == (64, 64) and not (one & other).any()
        for label, mask, telling, differing in zip(info['gt_label'],
                                                   info['part_mask'],
                                                   info['telling_parts'],
                                                   info['differing_parts']):
            assert .02 < (mask > 0).mean() < .2
            assert set(np.unique(mask)) == set(range(8))
            parts = [PARTS[part] for part in telling_parts_of(label)]
            assert telling == tuple(PART_LABELS[part] for part in parts)
            assert len(differing) == 12 and differing[label] == ()


def test_two_birds_look_like_their_species():
    """A crown is red or blue where the mask of its own bird says."""
    dataset = RingSpecies(num_samples=24, seed=0, num_birds=2)
    redness = {True: [], False: []}
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        for label, mask in zip(info['gt_label'], info['part_mask']):
            crown = info['img'][mask == PART_LABELS['crown']]
            blue, _, red = crown.mean(0)
            redness[attributes_of(label)[0]].append(red - blue)
    assert min(redness[True]) > max(redness[False])


def test_two_birds_travel_through_pipeline_and_cache(tmp_path):
    arguments = dict(num_samples=2, seed=0, img_size=48, num_birds=2)
    pipeline = [dict(type='PackInputs', meta_keys=META_KEYS)]
    drawn = RingSpecies(**arguments)
    for _ in range(2):
        cached = RingSpecies(
            **arguments, cache_dir=str(tmp_path), pipeline=pipeline)
        sample, info = cached[1]['data_samples'], drawn.get_data_info(1)
        assert sample.gt_label.tolist() == info['gt_label']
        assert (sample.part_mask == info['part_mask']).all()
        assert sample.telling_parts == info['telling_parts']
    assert len(list(tmp_path.iterdir())) == 1
