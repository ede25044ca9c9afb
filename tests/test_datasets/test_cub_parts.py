import numpy as np
import pytest
from mmpretrain.registry import DATASETS

from intr_mm.datasets.cub_lists import check_lists

BOXES = """\
1 2.0 4.0 10.5 6.0
2 0.0 0.0 9.0 9.0
3 1.0 1.0 3.0 2.0
"""
PARTS = """\
1 1 3.5 5.0 1
1 2 0.0 0.0 0
1 3 12.0 9.0 1
2 1 1.0 2.0 1
2 2 0.0 0.0 0
2 3 0.0 0.0 0
3 1 0.0 0.0 0
3 2 0.0 0.0 0
3 3 0.0 0.0 0
"""
FILES = {
    'images.txt': '1 a/1.jpg\n2 b/2.jpg\n3 b/3.jpg\n',
    'image_class_labels.txt': '1 1\n2 2\n3 2\n',
    'train_test_split.txt': '1 0\n2 1\n3 0\n',
    'bounding_boxes.txt': BOXES,
    'parts/part_locs.txt': PARTS,
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'parts').mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def build(root, split='test', pipeline=()):
    return DATASETS.build(
        dict(
            type='CUBParts',
            data_root=str(root),
            split=split,
            metainfo=dict(classes=['a', 'b']),
            pipeline=list(pipeline)))


def test_parts_and_box_of_each_image(root):
    first, last = build(root)
    assert first['img_path'].endswith('images/a/1.jpg')
    assert (first['gt_label'], last['gt_label']) == (0, 1)
    np.testing.assert_array_equal(first['part_points'], [[3.5, 5], [12, 9]])
    np.testing.assert_array_equal(first['bbox'], [2, 4, 12.5, 10])
    assert last['part_points'].shape == (0, 2)
    np.testing.assert_array_equal(last['bbox'], [1, 1, 4, 3])
    train, = build(root, 'train')
    np.testing.assert_array_equal(train['part_points'], [[1, 2]])


def test_lines_may_stand_in_any_order(root):
    for name in ('bounding_boxes.txt', 'parts/part_locs.txt'):
        lines = FILES[name].splitlines()
        (root / name).write_text('\n'.join(lines[::-1]))
    first, _ = build(root)
    np.testing.assert_array_equal(first['part_points'], [[12, 9], [3.5, 5]])
    np.testing.assert_array_equal(first['bbox'], [2, 4, 12.5, 10])


def test_annotations_reach_the_data_sample(root):
    pack = dict(type='PackInputs', meta_keys=('part_points', 'bbox'))
    sample = build(root, pipeline=[pack])[0]['data_samples']
    assert sample.part_points.shape == (2, 2) and sample.bbox.shape == (4, )


@pytest.mark.parametrize('name', ['bounding_boxes.txt', 'parts/part_locs.txt'])
def test_faulty_annotations_are_named(root, name):
    lines = FILES[name].splitlines()
    (root / name).write_text('\n'.join(lines[:2]))
    with pytest.raises(ValueError, match=f'{name}.*no line for image 3'):
        build(root)
    for fault in ('3 1.0 2.0', '3 1.0 1.0 three 2.0'):
        (root / name).write_text('\n'.join([*lines, fault]))
        message = f"{name}', line {len(lines) + 1}: '{fault}' is not .* four"
        with pytest.raises(ValueError, match=message):
            build(root)
    (root / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}.*type 'CUB'"):
        build(root)


@pytest.mark.parametrize('name, content, message', [
    ('images.txt', '1 a/1.jpg\n2 b/2 .jpg\n', "line 2: '2 b/2 .jpg' is not"),
    ('images.txt', '1 a/1.jpg\n\n', "line 2: '' is not an image id and the "),
    ('images.txt', '1 \xff.jpg\n', 'line 1: .1 .*xff.jpg. is not'),
    ('images.txt', '', 'is empty: unpack'),
    ('images.txt', None, 'No such file'),
    ('image_class_labels.txt', '1 1\n2 wren\n', "line 2: '2 wren' is not"),
    ('image_class_labels.txt', '1 1\n2 2\n', 'no line for image 3, which .*'
     'images.txt. has in line 3'),
    ('image_class_labels.txt', '1 1\n2 2\n3 1\n9 1\n', 'images.txt. has no '
     'line for image 9, which .* in line 4'),
    ('image_class_labels.txt', None, 'No such file'),
    ('train_test_split.txt', '1 0\n2 2\n', "line 2: '2 2' is not .* 0 or 1"),
    ('train_test_split.txt', '1 0\n1 0\n', 'line 2: image 1 was in line 1'),
])
@pytest.mark.parametrize('check', [build, check_lists])
def test_faulty_lists_are_named(root, name, content, message, check):
    """Also of mmpretrain's CUB, which the tools check before."""
    if content is None:
        (root / name).unlink()
    else:
        (root / name).write_bytes(content.encode('latin-1'))
    with pytest.raises((ValueError, OSError), match=message) as error:
        check(str(root))
    assert name in str(error.value)
