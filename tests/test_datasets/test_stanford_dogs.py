import numpy as np
import pytest
from mmpretrain.registry import DATASETS
from scipy.io import savemat

from intr_mm.datasets import StanfordDogs

CLASSES = StanfordDogs.METAINFO['classes']
NAMES = [
    'n02085620-Chihuahua/n02085620_10074.jpg',
    'n02116738-African_hunting_dog/n02116738_10024.jpg',
    'n02086240-Shih-Tzu/n02086240_1011.jpg',
    'n02085620-Chihuahua/n02085620_11140.jpg'
]
LABELS = [1, 120, 5, 1]


def write_list(path, names=NAMES, labels=LABELS, **options):
    """Write a list as MATLAB does: columns, strings in cells."""
    path.parent.mkdir(exist_ok=True)
    cells = np.empty((len(names), 1), object)
    cells[:, 0] = names
    # the official lists have this third field
    savemat(
        path, {
            'file_list': cells,
            'annotation_list': cells,
            'labels': np.array(labels)[:, None]
        }, **options)


@pytest.mark.parametrize('dtype', ['uint8', 'float64'])
@pytest.mark.parametrize('do_compression', [False, True])
@pytest.mark.parametrize('folder', ['.', 'lists'])
@pytest.mark.parametrize('num_images', [4, 1])
def test_official_lists(tmp_path, folder, do_compression, dtype, num_images):
    """A list of one image is no column any more."""
    for split, order in (('train', slice(None)), ('test',
                                                  slice(None, None, -1))):
        names, labels = NAMES[order][:num_images], LABELS[order][:num_images]
        write_list(
            tmp_path / folder / f'{split}_list.mat',
            names,
            np.array(labels, dtype),
            do_compression=do_compression)
        dataset = DATASETS.build(
            dict(type='StanfordDogs', data_root=str(tmp_path), split=split))
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        assert [info['img_path'] for info in infos
                ] == [str(tmp_path / 'Images' / name) for name in names]
        assert [info['gt_label']
                for info in infos] == [label - 1 for label in labels]
        assert all(type(info['gt_label']) is int for info in infos)
        assert dataset.test_mode == (split == 'test')
        assert str(tmp_path) in repr(dataset)


def test_classes_are_those_of_the_folders(tmp_path):
    write_list(tmp_path / 'train_list.mat')
    dataset = StanfordDogs(str(tmp_path))
    assert len(set(dataset.CLASSES)) == 120
    for name, label in zip(NAMES, dataset.get_gt_labels()):
        assert name.split('/')[0].split('-', 1)[1] == dataset.CLASSES[label]


def test_missing_list_is_named(tmp_path):
    write_list(tmp_path / 'train_list.mat')
    with pytest.raises(
            FileNotFoundError,
            match='has neither test_list.mat nor lists/test_list.mat'):
        StanfordDogs(str(tmp_path), split='test')
    with pytest.raises(ValueError, match="'train' and 'test', got.*'val'"):
        StanfordDogs(str(tmp_path), split='val')


@pytest.mark.parametrize(
    'damage',
    [
        lambda path: path.write_bytes(b''),
        lambda path: path.write_bytes(path.read_bytes()[:300]),
        lambda path: path.write_text('<html>Not found</html>' * 20),
        lambda path: savemat(path, {'labels': [1, 2]}),
        lambda path: write_list(path, labels=LABELS[:3]),
        # a list of version 7.3 is HDF5, after a text of its own
        lambda path: path.write_bytes(b'MATLAB 7.3 MAT-file'.ljust(124) +
                                      b'\x00\x02IM'),
    ])
def test_damaged_list_is_named(tmp_path, damage):
    path = tmp_path / 'train_list.mat'
    write_list(path)
    damage(path)
    with pytest.raises(ValueError, match='train_list.mat.* is no list of'):
        StanfordDogs(str(tmp_path))
