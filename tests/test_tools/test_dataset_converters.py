import argparse
import gc
import importlib.util
import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config, DictAction
from mmpretrain.datasets import CustomDataset
from scipy.io import savemat

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools/dataset_converters/to_folders.py'
NAMES = ('cub', 'dog', 'car', 'car_ims', 'craft', 'pet')

spec = importlib.util.spec_from_file_location('to_folders', TOOL)
to_folders = importlib.util.module_from_spec(spec)
spec.loader.exec_module(to_folders)


def source_of(name):
    return to_folders.SOURCES[name.split('_')[0]]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())


def column(items):
    cells = np.empty((len(items), 1), object)
    cells[:, 0] = items
    return cells


def struct(**fields):
    """A row of MATLAB structs."""
    array = np.empty((1, len(next(iter(fields.values())))),
                     [(name, object) for name in fields])
    for name, values in fields.items():
        array[name] = values
    return array


def write_download(name, root):
    """Write a small download in its official layout.

    Every class has one test image, and one or two to train on; no two images
    are alike.
    """
    classes = source_of(name).dataset_type.METAINFO['classes']
    samples = [(label, split) for label in range(len(classes))
               for split in ('train', 'test')]
    samples += [(label, 'train') for label in range(0, len(classes), 3)]
    # the lists of some of the data sets are in no order
    if name in ('car', 'car_ims', 'craft'):
        np.random.default_rng(0).shuffle(samples)
    samples = [(i, int(label), split)
               for i, (label, split) in enumerate(samples, 1)]
    splits = {
        split: [(i, label) for i, label, its_split in samples
                if its_split == split]
        for split in ('train', 'test')
    }

    if name == 'cub':
        paths = [
            f'{label + 1:03}.{classes[label]}/{classes[label]}_{i:04}.jpg'
            for i, label, _ in samples
        ]
        for file, values in (('images', paths), ('image_class_labels', [
                label + 1 for _, label, _ in samples
        ]), ('train_test_split',
             [int(split == 'train') for _, _, split in samples])):
            lines = [f'{i} {value}\n' for i, value in enumerate(values, 1)]
            write(root / f'{file}.txt', ''.join(lines))
        for path in paths:
            write(root / 'images' / path, path)
    elif name == 'dog':
        for split, images in splits.items():
            wnids = [f'n{2085620 + 260 * label:08}' for _, label in images]
            paths = [
                f'{wnid}-{classes[label]}/{wnid}_{i}.jpg'
                for wnid, (i, label) in zip(wnids, images)
            ]
            for path in paths:
                write(root / 'Images' / path, path)
            labels = np.array([label + 1 for _, label in images], np.uint8)
            savemat(root / f'{split}_list.mat', {
                'file_list': column(paths),
                'labels': labels[:, None]
            })
    elif name == 'car_ims':
        paths = [f'car_ims/{i:06}.jpg' for i, _, _ in samples]
        for path in paths:
            write(root / path, path)
        savemat(
            root / 'cars_annos.mat', {
                'annotations':
                struct(
                    relative_im_path=paths,
                    test=[int(split == 'test') for _, _, split in samples],
                    **{'class': [label + 1 for _, label, _ in samples]})
            })
    elif name == 'car':
        (root / 'devkit').mkdir()
        for split, images in splits.items():
            # the numbers of both splits begin at 1
            paths = [f'{i:05}.jpg' for i in range(1, len(images) + 1)]
            for path in paths:
                write(root / f'cars_{split}' / path, f'{split} {path}')
            suffix = '_withlabels' if split == 'test' else ''
            savemat(
                root / f'devkit/cars_{split}_annos{suffix}.mat', {
                    'annotations':
                    struct(
                        fname=paths,
                        **{'class': [label + 1 for _, label in images]})
                })
    elif name == 'craft':
        for split, file in (('train', 'trainval'), ('test', 'test')):
            lines = [
                f'{i:07} {classes[label]}\n' for i, label in splits[split]
            ]
            write(root / f'data/images_variant_{file}.txt', ''.join(lines))
            for i, _ in splits[split]:
                write(root / f'data/images/{i:07}.jpg', str(i))
    elif name == 'pet':
        for split, file in (('train', 'trainval'), ('test', 'test')):
            stems = [(f'{classes[label]}_{i}', label)
                     for i, label in splits[split]]
            lines = [f'{stem} {label + 1} 1 1\n' for stem, label in stems]
            write(root / f'annotations/{file}.txt', ''.join(lines))
            for stem, _ in stems:
                write(root / f'images/{stem}.jpg', stem)
    return len(splits['train']), len(splits['test'])


@pytest.fixture(scope='module')
def shared_downloads(tmp_path_factory):
    """Downloads by name, for tests that leave them as they are."""
    return {}, tmp_path_factory.mktemp('downloads')


@pytest.fixture
def download(shared_downloads, monkeypatch):
    """Write a download whose numbers of images count as the official ones."""
    shared, folder = shared_downloads

    def write_and_count(name, root=None):
        if root is not None:
            root.mkdir(parents=True)
            numbers = write_download(name, root)
        else:
            root = folder / name
            if name not in shared:
                root.mkdir()
                shared[name] = write_download(name, root)
            numbers = shared[name]
        monkeypatch.setitem(
            to_folders.SOURCES,
            name.split('_')[0],
            source_of(name)._replace(num_train=numbers[0], num_val=numbers[1]))
        return root

    return write_and_count


@pytest.fixture(autouse=True)
def no_garbage_collection(monkeypatch):
    """MMEngine's, for each data set, takes longer than all else here."""
    monkeypatch.setattr(gc, 'collect', lambda: 0)


@pytest.fixture
def run(monkeypatch):

    def run_tool(name, *args):
        argv = [str(TOOL), name.split('_')[0], *map(str, args)]
        monkeypatch.setattr(sys, 'argv', argv)
        to_folders.main()

    return run_tool


def fails(run, *args):
    """The one sentence that a run ends in."""
    with pytest.raises(SystemExit) as error:
        run(*args)
    message = error.value.code
    assert isinstance(message, str) and '\n' not in message
    return message


def labels(dataset):
    """Labels by what the images contain."""
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return {
        Path(info['img_path']).read_bytes(): info['gt_label']
        for info in infos
    }


def assert_equivalent(name, src, dst):
    """The folders give each image the label that the official lists give."""
    source = source_of(name)
    for folder, split, number in (('train', source.train_split,
                                   source.num_train), ('val', 'test',
                                                       source.num_val)):
        official = source.dataset_type(data_root=str(src), split=split)
        made = CustomDataset(data_root=str(dst), data_prefix=folder)
        assert len(made) == number
        assert labels(made) == labels(official)
        assert len(labels(made)) == number
        assert len(made.CLASSES) == len(official.CLASSES)


def tree(root):
    """What lies in a folder, and when it was written."""
    return {
        path.relative_to(root): path.lstat().st_mtime_ns
        for path in root.rglob('*') if not path.is_dir()
    }


def size(root):
    return len(tree(root)) if root.exists() else 0


@pytest.mark.parametrize('copy', [False, True])
@pytest.mark.parametrize('name', NAMES)
def test_same_labels_as_the_official_lists(name, copy, download, run, tmp_path,
                                           capsys):
    src, dst = download(name), tmp_path / 'dst'
    before = tree(src)
    run(name, src, dst, *['--copy'] * copy)
    assert_equivalent(name, src, dst)
    assert all(path.is_symlink() != copy for path in dst.rglob('*.*')
               if not path.is_dir())

    made = tree(dst)
    run(name, src, dst, *['--copy'] * copy)
    assert tree(dst) == made
    assert tree(src) == before
    dataset = name.split('_')[0]
    assert f'configs/intr_{dataset}_folder.py 4' in capsys.readouterr().out


@pytest.mark.parametrize('name, folders', [
    ('cub', {'001.Black_footed_Albatross', '200.Common_Yellowthroat'}),
    ('dog', {'n02085620-Chihuahua', 'n02116560-African_hunting_dog'}),
    ('car',
     {'001.AM_General_Hummer_SUV_2000', '174.Ram_C_V_Cargo_Van_Minivan_2012'}),
    ('craft', {'001.707-320', '074.F_A-18'}),
    ('pet', {'002.american_bulldog', '003.american_pit_bull_terrier'}),
])
def test_class_folders(name, folders, download, run, tmp_path):
    run(name, download(name), tmp_path / 'dst')
    for split in ('train', 'val'):
        assert folders <= set(os.listdir(tmp_path / 'dst' / split))


def test_links_hold_when_moved_together(download, run, tmp_path):
    src = download('pet', tmp_path / 'data/src')
    # the way up from the folder is not the way back down the link to it
    (tmp_path / 'data/deeper/dst').mkdir(parents=True)
    (tmp_path / 'link').symlink_to(tmp_path / 'data/deeper/dst')
    run('pet', src, tmp_path / 'link')
    (tmp_path / 'data').rename(tmp_path / 'moved')
    assert_equivalent('pet', tmp_path / 'moved/src',
                      tmp_path / 'moved/deeper/dst')


def test_copies_replace_links_and_stay(download, run, tmp_path):
    src, dst = download('pet'), tmp_path / 'dst'
    run('pet', src, dst)
    before = tree(src)
    # of a run of links killed between making a link and naming it
    image = next(dst.glob('train/*/*.jpg'))
    other = next(src.glob('images/Persian*.jpg'))
    Path(f'{image}.part').symlink_to(other)
    run('pet', src, dst, '--copy')
    assert tree(src) == before
    assert not list(dst.rglob('*.part'))
    assert not any(path.is_symlink() for path in dst.rglob('*'))
    made = tree(dst)
    run('pet', src, dst)
    assert tree(dst) == made
    assert_equivalent('pet', src, dst)


def test_links_into_a_moved_download_are_mended(download, run, tmp_path):
    src, dst = download('pet', tmp_path / 'src'), tmp_path / 'dst'
    run('pet', src, dst)
    src = src.rename(tmp_path / 'elsewhere')
    run('pet', src, dst)
    assert_equivalent('pet', src, dst)


@pytest.mark.parametrize('copy', [False, True])
def test_killed_run_is_completed(copy, download, run, tmp_path, monkeypatch):
    src, dst = download('craft'), tmp_path / 'dst'
    flags = ['--copy'] * copy
    replace, count = os.replace, iter(range(1000))

    def killed(part, target):
        if next(count) == 50:
            if copy:
                os.truncate(part, 0)
            os.kill(os.getpid(), signal.SIGKILL)
        replace(part, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, 'replace', killed)
        process = multiprocessing.get_context('fork').Process(
            target=run, args=('craft', src, dst, *flags))
        process.start()
        process.join(60)
    assert process.exitcode == -signal.SIGKILL

    images = list(dst.rglob('*.jpg'))
    assert len(images) == 50
    originals = {path.read_bytes() for path in src.rglob('*.jpg')}
    assert {path.read_bytes() for path in images} < originals
    assert len(list(dst.rglob('*.part'))) == 1
    before = {image: image.lstat().st_mtime_ns for image in images}

    run('craft', src, dst, *flags)
    assert not list(dst.rglob('*.part'))
    assert {image: image.lstat().st_mtime_ns for image in images} == before
    assert_equivalent('craft', src, dst)


@pytest.mark.parametrize('name', NAMES)
def test_missing_images_are_counted(name, download, run, tmp_path):
    src, dst = download(name, tmp_path / 'src'), tmp_path / 'dst'
    source = source_of(name)
    dataset = source.dataset_type(data_root=str(src), split='test')
    paths = [dataset.get_data_info(i)['img_path'] for i in (3, 5)]
    for path in paths:
        os.remove(path)
    message = fails(run, name, src, dst)
    assert f'2 of {source.num_val} images of the test split' in message
    assert paths[0] in message and source.remedy in message
    assert size(dst) == 0


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('field, split', [('num_train', 'train'),
                                          ('num_val', 'test')])
def test_wrong_number_is_named(name, field, split, download, run, tmp_path,
                               monkeypatch):
    src = download(name)
    source = source_of(name)
    number = getattr(source, field)
    monkeypatch.setitem(to_folders.SOURCES,
                        name.split('_')[0],
                        source._replace(**{field: number + 1}))
    message = fails(run, name, src, tmp_path / 'dst')
    assert f'name {number} images of the {split}' in message
    assert f'name {number + 1}:' in message and source.remedy in message
    assert size(tmp_path / 'dst') == 0


def test_official_numbers():
    assert {
        name: (source.num_train, source.num_val)
        for name, source in to_folders.SOURCES.items()
    } == {
        'cub': (5994, 5794),
        'dog': (12000, 8580),
        'car': (8144, 8041),
        'craft': (6667, 3333),
        'pet': (3680, 3669)
    }


LISTS = [('cub', 'images.txt'), ('cub', 'image_class_labels.txt'),
         ('cub', 'train_test_split.txt'), ('dog', 'train_list.mat'),
         ('dog', 'test_list.mat'), ('car', 'devkit/cars_train_annos.mat'),
         ('car', 'devkit/cars_test_annos_withlabels.mat'),
         ('car_ims', 'cars_annos.mat'),
         ('craft', 'data/images_variant_trainval.txt'),
         ('craft', 'data/images_variant_test.txt'),
         ('pet', 'annotations/trainval.txt'), ('pet', 'annotations/test.txt')]


@pytest.mark.parametrize(
    'damage', [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b''),
        lambda path: path.write_bytes(path.read_bytes()[:len(path.read_bytes())
                                                        // 2]),
        lambda path: path.write_text('<html>\n<body>Not found\n</body>\n' * 20
                                     ),
    ],
    ids=['missing', 'empty', 'cut short', 'a web page'])
@pytest.mark.parametrize('name, file', LISTS)
def test_missing_or_damaged_list(name, file, damage, download, run, tmp_path):
    src = download(name)
    content = (src / file).read_bytes()
    damage(src / file)
    is_missing = not (src / file).exists()
    try:
        message = fails(run, name, src, tmp_path / 'dst')
    finally:
        (src / file).write_bytes(content)
    assert f"'{src}'" in message and source_of(name).remedy in message
    # StanfordCars does not say which it misses, and the remedy names them
    if is_missing and 'car' not in name:
        assert Path(file).name in message
    assert size(tmp_path / 'dst') == 0


@pytest.mark.parametrize('name', ['cub', 'pet'])
@pytest.mark.parametrize('label', ['0', '999', '5'])
def test_labels_out_of_order(name, label, download, run, tmp_path):
    """Lists with the right number of images, which are not the official."""
    src = download(name, tmp_path / 'src')
    path = src / dict(
        cub='image_class_labels.txt', pet='annotations/trainval.txt')[name]
    first, *rest = path.read_text().splitlines()
    fields = first.split()
    fields[1] = label
    lines = [' '.join(fields), *rest]
    # one wrong label of a class that has others is one that CUB's folders
    # show, and that nothing in Pet's lists does
    if name == 'pet' and label == '5':
        lines = [line.replace(' 1 1 1', ' 5 1 1') for line in lines]
    path.write_text('\n'.join(lines))
    message = fails(run, name, src, tmp_path / 'dst')
    assert 'in the official order' in message
    assert size(tmp_path / 'dst') == 0


@pytest.mark.parametrize('stray', [
    'train/001.Abyssinian/holiday.JPG', 'val/000.Wolf/1.png', 'val/Empty/.x',
    'train/001.Abyssinian/Abyssinian_1.jpg'
])
def test_strays_are_named_and_kept(stray, download, run, tmp_path):
    src, dst = download('pet'), tmp_path / 'dst'
    write(dst / stray, 'of the user')
    message = fails(run, 'pet', src, dst)
    named = dst / stray
    if 'Wolf' in stray or 'Empty' in stray:
        named = named.parent
    assert f"'{named}'" in message
    assert (dst / stray).read_text() == 'of the user'
    # all else is there
    number = source_of('pet').num_train + source_of('pet').num_val
    assert size(dst) == number + ('Abyssinian_1.' not in stray)

    (dst / stray).unlink()
    if named != dst / stray:
        named.rmdir()
    run('pet', src, dst)
    assert_equivalent('pet', src, dst)


def test_what_cannot_be_written_is_named(download, run, tmp_path, monkeypatch):
    src = download('pet')
    (tmp_path / 'file').touch()
    message = fails(run, 'pet', src, tmp_path / 'file')
    assert str(tmp_path / 'file') in message and 'Not a directory' in message

    def no_links(*args):
        raise OSError(95, 'Operation not supported')

    monkeypatch.setattr(os, 'symlink', no_links)
    message = fails(run, 'pet', src, tmp_path / 'dst')
    assert 'Operation not supported' in message and '--copy' in message


@pytest.mark.parametrize('name', to_folders.SOURCES)
@pytest.mark.parametrize('default', [True, False])
def test_command_trains_on_the_folders(name, default, download, run, tmp_path,
                                       capsys, monkeypatch):
    src = download(name)
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    dst = f'data/{name}' if default else '../my_images'
    run(name, src, f'{dst}/')
    command = shlex.split(capsys.readouterr().out.split('Train by: ')[1])
    assert command[0] == 'tools/dist_train.sh' and command[2] == '4'
    assert (len(command) == 3) == default
    cfg = Config.fromfile(ROOT / command[1])
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    cfg.merge_from_dict(parser.parse_args(command[3:]).cfg_options or {})
    for mode, folder in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        dataset = cfg[f'{mode}_dataloader'].dataset
        assert (dataset.data_root, dataset.data_prefix) == (dst, folder)
    assert cfg.model.head.num_classes == len(os.listdir(f'{dst}/train'))


def test_missing_download_leaves_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, TOOL, 'cub', tmp_path / 'none', tmp_path / 'dst'],
        env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True)
    assert done.returncode == 1
    message, = (line for line in done.stderr.splitlines() if 'cub' in line)
    assert f"{tmp_path / 'none' / 'images.txt'}" in message
    assert 'CUB_200_2011.tgz' in message
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'dst').exists()
