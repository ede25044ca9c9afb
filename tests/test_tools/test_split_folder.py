import csv
import os
import runpy
import shutil
import sys
from glob import escape, glob

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from intr_mm.datasets.near_duplicates import (MAX_DISTANCE, near_duplicates,
                                              perceptual_hash)
from ..docs_code import DOCS, commands
from ..tiny import DEMO, ROOT

TOOL = 'dataset_converters/split_folder.py'
NAMES = 'grey owl', 'robin', 'wren'
# A recipe of seconds.
SMALL = {
    'model.backbone.depth': 18,
    'model.backbone.init_cfg': 'None',
    'model.neck.in_channels': 512,
    'model.feature_cache': 'features',
    'train_cfg.max_epochs': 2,
    'default_hooks.visualization.enable': False,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'val_dataloader.num_workers': 0,
    'val_dataloader.persistent_workers': False,
    'test_dataloader.num_workers': 0,
    'test_dataloader.persistent_workers': False,
}
for part in ('neck', 'head'):
    for name, value in dict(
            num_layers=1, embed_dims=16, num_heads=2,
            feedforward_channels=16).items():
        SMALL[f'model.{part}.{name}'] = value


def draw(seed, size=(72, 96)):
    """A photo of blobs; no two seeds are alike."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (12, 16, 3), np.uint8)
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def test_flag_and_function_have_one_default(monkeypatch):
    parse_args = runpy.run_path(str(ROOT / 'tools' / TOOL))['parse_args']
    monkeypatch.setattr(sys, 'argv', [TOOL, 'photos'])
    assert parse_args().max_distance == MAX_DISTANCE


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Ten photos of each class in a folder, which is the current one's."""
    for label, name in enumerate(NAMES):
        for i in range(10):
            write(tmp_path / f'my photos/{name}/{i}.png', draw(10 * label + i))
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'my photos'


@pytest.fixture
def split(run_tool, capsys):
    """Runs the tool; what it prints, and the photos of each split."""

    def run(*args, out='out'):
        run_tool(TOOL, *args, '--out', out)
        rows = list(csv.DictReader(open(f'{out}/photos.csv')))
        return capsys.readouterr().out, {
            name: {
                r['path']
                for r in rows if r['split'] == name and not r['left_out']
            }
            for name in ('train', 'val', 'test')
        }

    return run


@pytest.mark.slow
def test_commands_of_the_tutorial(photos, run_tool, capsys):
    """From a folder to a report; the tool prints the commands that follow."""
    photos.rename('photos')
    first, *others = commands(DOCS / 'tutorials/own_photos.md')[:5]
    run_tool(TOOL, 'photos', '--cfg-options',
             *(f'{key}={value}' for key, value in SMALL.items()))
    assert TOOL in first
    printed = capsys.readouterr().out.splitlines()
    cfg = Config.fromfile('data/photos_split/photos.py')
    assert cfg.model.head.num_classes == 3
    assert cfg.model.backbone.depth == 18
    tools = os.path.relpath(ROOT / 'tools')
    for command in others:
        command = command.replace('epoch_12', 'epoch_2')
        assert command.replace('tools', tools, 1) in printed
        python, name, *args = command.split()
        run_tool(
            name.removeprefix('tools/'), *args, '--cfg-options',
            *(f'{split}_dataloader.dataset.pipeline.1.{key}scale=64'
              for split, key in (('train', 'transforms.0.'), ('val', ''),
                                 ('test', ''))), f'experiment_name={name}')
        if 'test.py' in name:
            assert 'accuracy/top1' in capsys.readouterr().out
    assert os.path.getsize('work_dirs/photos/report.html') > 1e4
    assert len(glob('work_dirs/photos/figures/*.pdf')) == 4


def test_folder(photos, split):
    _, splits = split('my photos')
    assert {
        name: len(paths)
        for name, paths in splits.items()
    } == dict(
        train=18, val=6, test=6)
    assert open('out/classes.txt').read().splitlines() == list(NAMES)
    lines = open('out/test.txt').read().splitlines()
    assert {line.rsplit(' ', 1)[0] for line in lines} == splits['test']


def test_split_depends_on_seed_and_path_alone(photos, split):
    _, first = split(photos)
    _, again = split(photos, out='again')
    assert first == again
    _, other = split(photos, '--seed', 1, out='other')
    assert first != other
    # more photos change the places of few
    write(photos / 'wren/new.png', draw(99))
    _, more = split(photos, out='more')
    moved = [name for name in first if first[name] - more[name]]
    assert sum(len(first[name] - more[name]) for name in moved) <= 2


def test_train_and_val_folders_keep_their_split(photos, split):
    for name in NAMES:
        for i in range(10):
            target = photos / ('train' if i < 7 else 'val') / name
            target.mkdir(parents=True, exist_ok=True)
            (photos / name / f'{i}.png').rename(target / f'{i}.png')
        (photos / name).rmdir()
    printed, splits = split(photos)
    assert {len(splits['train']), len(splits['val'])} == {21, 9}
    assert not splits['test']
    assert all(path.startswith('val/') for path in splits['val'])
    cfg = Config.fromfile('out/my_photos.py')
    assert cfg.test_dataloader.dataset == cfg.val_dataloader.dataset


@pytest.mark.parametrize('delimiter, header', [(',', False), (';', True),
                                               ('\t', True)])
def test_csv(photos, split, delimiter, header):
    rows = [(f'my photos/{name}/{i}.png', name) for name in NAMES
            for i in range(10)]
    rows = [('path', 'label')] * header + rows
    with open('list.csv', 'w') as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    _, splits = split('list.csv')
    assert {len(paths) for paths in splits.values()} == {18, 6}


def test_written_list_is_read_again(photos, split):
    _, first = split(photos)
    text = open('out/photos.csv').read()
    path = min(first['test'])
    text = text.replace(f'{path},grey owl,test', f'{path},grey owl,train')
    open('corrected.csv', 'w').write(text)
    _, second = split(
        'corrected.csv', '--data-root', photos, '--overwrite', out='out')
    assert second['train'] == first['train'] | {path}
    assert second['val'] == first['val']


def test_names_with_ends_of_lines_are_read_again(photos, split):
    odd = [photos / 'wren' / f'a{end}b.png' for end in '\r\n\u2028']
    for i, path in enumerate(odd):
        path.write_bytes((photos / f'wren/{i}.png').read_bytes())
    _, first = split(photos)
    with open('out/photos.csv', newline='') as file:
        written = {row['path'] for row in csv.DictReader(file)}
    assert {f'wren/{path.name}' for path in odd} < written
    _, second = split('out/photos.csv', '--data-root', photos, out='again')
    assert second == first


def test_label_of_two_lines_is_one(photos, split):
    rows = [(f'my photos/{name}/{i}.png', name.replace(' ', '\n'))
            for name in NAMES for i in range(10)]
    with open('list.csv', 'w', newline='') as file:
        csv.writer(file).writerows([('path', 'label'), *rows])
    split('list.csv')
    assert open('out/classes.txt').read().splitlines() == list(NAMES)


def test_lines_that_are_left_out_are_told(photos, split):
    with open('list.csv', 'w') as file:
        file.write('path,label,left_out,note,note\n')
        for name in NAMES:
            for i, left_out in enumerate(['', 'no', 'False', '0'] * 2 +
                                         ['blurred', 'yes']):
                file.write(f'my photos/{name}/{i}.png,{name},{left_out},,\n')
    printed, splits = split('list.csv')
    assert len(set.union(*splits.values())) == 24
    assert "6 lines of 'list.csv' with a `left_out`" in printed


def test_groups_stay_together(photos, split):
    with open('list.csv', 'w') as file:
        file.write('path,label,group\n')
        for name in NAMES:
            for i in range(10):
                file.write(f'my photos/{name}/{i}.png,{name},{i // 2}\n')
    _, splits = split('list.csv')
    for paths in splits.values():
        for path in paths:
            i = int(path[-5])
            assert f'{path[:-5]}{i ^ 1}.png' in paths


def test_a_group_goes_where_some_of_it_are(photos, split):
    """The first of each pair is in the test, or has no split."""
    with open('list.csv', 'w') as file:
        file.write('path,label,split,group\n')
        for name in NAMES:
            for i in range(10):
                given = 'test' * (i in (0, 4))
                file.write(
                    f'my photos/{name}/{i}.png,{name},{given},{i // 2}\n')
    _, splits = split('list.csv')
    assert splits['test'] == {
        f'my photos/{name}/{i}.png'
        for name in NAMES
        for i in (0, 1, 4, 5)
    }


def test_copies_go_where_the_given_one_is(photos, split):
    with open('list.csv', 'w') as file:
        file.write('path,label,split\n')
        for name in NAMES:
            shutil.copy(photos / name / '0.png', photos / name / 'copy.png')
            for i in (*range(10), 'copy'):
                given = 'test' * (i == 0)
                file.write(f'my photos/{name}/{i}.png,{name},{given}\n')
    printed, splits = split('list.csv')
    assert splits['test'] == {
        f'my photos/{name}/{i}.png'
        for name in NAMES
        for i in (0, 'copy')
    }
    assert 'lie in two splits' not in printed


def test_copies_of_test_photos_are_not_moved_from_training(photos, split):
    """Of what is given for training, validation alone is chosen."""
    with open('list.csv', 'w') as file:
        file.write('path,label,split\n')
        for name in NAMES:
            shutil.copy(photos / name / '0.png', photos / name / 'copy.png')
            for i in (*range(10), 'copy'):
                given = 'test' if i == 0 else 'train'
                file.write(f'my photos/{name}/{i}.png,{name},{given}\n')
    printed, splits = split('list.csv')
    assert splits['test'] == {f'my photos/{name}/0.png' for name in NAMES}
    assert '3 of these pairs lie in two splits' in printed


def test_near_duplicates_stay_together(photos, split):
    for name in NAMES:
        image = draw(1000 + len(name), (200, 260))
        write(photos / name / 'large.png', image)
        for i, size in enumerate([(130, 100), (65, 50), (195, 150)]):
            write(photos / name / f'copy{i}.jpg', cv2.resize(image, size))
    printed, splits = split(photos)
    assert '18 pairs of near duplicates' in printed
    for name in NAMES:
        copies = {
            f'{name}/large.png', *(f'{name}/copy{i}.jpg' for i in range(3))
        }
        assert any(copies <= paths for paths in splits.values())


def test_report_names_what_is_odd(photos, split):
    shutil.copy(photos / 'wren/0.png', photos / 'robin/wren.png')
    (photos / 'robin/notes.txt').touch()
    (photos / 'robin/empty.jpg').touch()
    (photos / 'heron').mkdir()
    write(photos / 'robin/long.png', draw(77, (70, 400)))
    printed, splits = split(photos)
    for words in ('robin/empty.jpg: it holds no image', '1 file .txt',
                  "class folder 'heron' without photos",
                  'robin/long.png: 400x70 pixels',
                  'robin/wren.png, wren/0.png',
                  '1 of these pairs lie in two classes'):
        assert words in printed
    assert 'robin/empty.jpg' not in set.union(*splits.values())


def test_given_splits_that_share_a_photo_are_told(photos, split):
    with open('list.csv', 'w') as file:
        file.write('path,label,split\n')
        for name in NAMES:
            shutil.copy(photos / name / '0.png', photos / name / 'copy.png')
            for i, kind in (*enumerate(['train'] * 5 + ['val'] * 5), ('copy',
                                                                      'val')):
                file.write(f'my photos/{name}/{i}.png,{name},{kind}\n')
    printed, _ = split('list.csv')
    assert '3 of these pairs lie in two splits' in printed


def few(photos):
    for i in range(2, 10):
        (photos / 'wren' / f'{i}.png').unlink()
    return photos


def alike(photos):
    write(photos / 'Grey_Owl/0.png', draw(3))
    return photos


def no_folders(photos):
    for path in photos.rglob('*.png'):
        path.rename(photos / f'{path.parent.name}{path.name}')
    for name in NAMES:
        (photos / name).rmdir()
    return photos


def mixed(photos):
    write(photos / 'train/robin/1.png', draw(3))
    return photos


def table(*lines):

    def make(photos):
        path = photos.parent / 'list.csv'
        path.write_text('\n'.join(lines))
        return path

    return make


@pytest.mark.parametrize('make, words', [
    (few, "1 of the classes have too few photos .*'wren'; add photos, or"),
    (alike, "'Grey_Owl' and 'grey owl' differ in case"),
    (no_folders, 'holds no class folders with images'),
    (mixed, "holds 'grey owl' beside the folders train"),
    (lambda photos: photos / 'absent', 'absent. does not exist'),
    (lambda photos: photos / 'wren/0.png', 'no text in UTF-8'),
    (table('path,label,split', 'my photos/wren/0.png,wren,train',
           'my photos/wren/1.png,wren,val', 'my photos/robin/0.png,robin,val'),
     "'robin' has no photos to train on"),
    (table('path,label,split,group', 'my photos/wren/0.png,wren,train,a',
           'my photos/wren/1.png,wren,test,a',
           'my photos/robin/0.png,robin,,'),
     "The group 'a' of 'wren' has photos in 'train' and in 'test': give all"),
    (table(''), 'list.csv. is empty'),
    (table('file,kind', 'a.png,b'), 'has the columns file, kind'),
    (table('path,label,Label', 'a.png,b,c'), 'has 2 columns called `label`'),
    (table('path,label', 'a.png,b,c'), 'line 2 has 3 columns instead of 2'),
    (table('path,label', '"a', 'b",c', 'd'), 'line 4 has 1 columns instead'),
    (table('path,label', 'a,b', 'c,"d',
           'e,f'), 'no CSV file from line 3 on .*: close the quotes there'),
    (table('path,label', 'a,b',
           './a,c'), "line 3: './a' is 'c', but 'b' in line 2"),
    (table('path,label,split', 'a,b,train', 'a,b,'),
     "line 3: 'a' is in the split '', but 'train' in line 2: correct one"),
    (table('path,label,split,group', 'a,b,val,x', './a,b,valid,y'),
     "line 3: './a' is in the group 'y', but 'x' in line 2: correct one"),
    (table('path,label,split', 'a,b,tset'), "line 2 has the split 'tset'"),
    (table('path,label', 'a,b', 'c,d'), 'fewer than two .*a. .No such file'),
])
def test_refusals(photos, run_tool, make, words):
    with pytest.raises(SystemExit, match=words):
        run_tool(TOOL, make(photos), '--out', 'out')
    assert not (photos.parent / 'out').exists()


@pytest.mark.parametrize('option, words', [
    ('model=1', 'model is 1 in'),
    ('model.head=1', 'model.head.*1'),
    ('train_cfg.max_epochs=abc', "train_cfg.max_epochs .*'abc'"),
    ('train_dataloader.batch_size=abc', "batch_size .*'abc'"),
    ('train_dataloader.dataset=1', 'train_dataloader.dataset'),
    ('data_root=1', 'data_root'),
])
def test_options_that_suit_no_config_are_refused(photos, run_tool, option,
                                                 words, monkeypatch):
    """Before all photos are looked at, which takes long."""
    monkeypatch.setattr('intr_mm.datasets.photo_list.look_at', None)
    with pytest.raises(SystemExit, match=words):
        run_tool(TOOL, photos, '--out', 'out', '--cfg-options', option)
    assert not (photos.parent / 'out').exists()


def test_recipes_of_other_data_are_refused(photos, run_tool, monkeypatch):
    monkeypatch.setattr('intr_mm.datasets.photo_list.look_at', None)
    with pytest.raises(SystemExit, match='intr_demo.py reads no folders of'):
        run_tool(TOOL, photos, '--out', 'out', '--config', DEMO)


@pytest.mark.parametrize('loop', [
    dict(by_epoch=False, max_iters=100),
    dict(type='IterBasedTrainLoop', max_iters=100)
])
def test_recipes_that_train_by_iterations_are_refused(photos, run_tool, loop):
    recipe = photos.parent / 'recipe.py'
    base = str(ROOT / 'configs/intr_folder.py')
    recipe.write_text(f'_base_ = [{base!r}]\n'
                      f'train_cfg = dict(_delete_=True, **{loop!r})\n')
    with pytest.raises(SystemExit, match='recipe.py trains by iterations'):
        run_tool(TOOL, photos, '--out', 'out', '--config', recipe)
    assert not (photos.parent / 'out').exists()


def test_a_folder_that_cannot_be_written_is_refused_first(
        photos, run_tool, monkeypatch):
    monkeypatch.setattr('intr_mm.datasets.photo_list.look_at', None)
    (photos.parent / 'data').touch()
    with pytest.raises(SystemExit, match='data/my_photos_split. cannot be wr'):
        run_tool(TOOL, photos)


def test_groups_are_checked_before_photos_are_looked_at(
        photos, run_tool, monkeypatch):
    monkeypatch.setattr('intr_mm.datasets.photo_list.look_at', None)
    path = table('path,label,split,group', 'a.png,wren,train,a',
                 'b.png,wren,test,a', 'c.png,robin,train,')(
                     photos)
    with pytest.raises(SystemExit, match="The group 'a' of 'wren' has photos"):
        run_tool(TOOL, path, '--out', 'out')


def test_root_of_lists_beside_a_folder_is_refused(photos, run_tool, capsys):
    with pytest.raises(SystemExit):
        run_tool(TOOL, photos, '--out', 'out', '--data-root', 'nope')
    assert '--data-root is for CSV files' in capsys.readouterr().err


def test_small_classes_are_left_out_where_asked(photos, split):
    printed, splits = split(few(photos), '--min-images', 3)
    assert 'its class has fewer than 3 photos' in printed
    assert len(set.union(*splits.values())) == 20


def test_another_split_is_not_replaced(photos, split):
    split(photos)
    split(photos)
    with pytest.raises(SystemExit, match='holds another split'):
        split(photos, '--seed', 1)


@pytest.mark.parametrize('name', ['photos.csv', 'my_photos.py'])
def test_what_was_corrected_is_not_replaced(photos, split, name):
    split(photos)
    written = open(f'out/{name}').read()
    open(f'out/{name}', 'a').write('\n')
    with pytest.raises(SystemExit, match=f'{name}. holds something else'):
        split(photos)
    assert open(f'out/{name}').read() == f'{written}\n'
    split(photos, '--overwrite')
    assert open(f'out/{name}').read() == written


def test_list_that_was_read_may_be_replaced(photos, split):
    """Its layout is the tool's again; what it says is kept."""
    split(photos)
    written = open('out/photos.csv').read()
    open('out/photos.csv', 'a').write('\n')
    split('out/photos.csv', '--data-root', photos)
    assert open('out/photos.csv').read() == written


def test_what_a_list_leaves_out_stays_in_it(photos, split):
    split(photos)
    with open('out/photos.csv') as file:
        lines = file.read().splitlines()
    lines[3] += '"blurred, I think"'
    lines[9] = 'gone.png,Grey_Owl,,a,0,0,deleted'  # in no form of a class
    lines.insert(8, lines[7] + 'once more')
    with open('out/photos.csv', 'w') as file:
        file.write('\n'.join(lines) + '\n')
    for _ in range(2):
        printed, _ = split('out/photos.csv', '--data-root', photos,
                           '--overwrite')
        assert "3 lines of 'out/photos.csv' with a `left_out`" in printed
        with open('out/photos.csv') as file:
            assert file.read().splitlines() == lines


def test_other_columns_of_a_list_stay_in_it(photos, split):
    split(photos)
    with open('out/photos.csv') as file:
        header, *lines = file.read().splitlines()
    header += ',Seen by,note,note'
    lines = [f'{line},{i},"", a' for i, line in enumerate(lines)]
    lines[4] = lines[4].replace('""', '"in rain, at\n dusk"')
    lines[7] = lines[7].replace(',7,', 'blurred,7,')
    with open('given.csv', 'w', newline='') as file:
        file.write('Note,path,label,width\n')
        file.writelines(f'"{i}\r",my photos/{name}/{i}.png,{name},0\n'
                        for i in range(10) for name in NAMES)
    with open('out/photos.csv', 'w') as file:
        file.write('\n'.join([header, *lines]) + '\n')
    with open('out/photos.csv') as file:
        before = list(csv.reader(file))
    for _ in range(2):
        split('out/photos.csv', '--data-root', photos, '--overwrite')
        with open('out/photos.csv') as file:
            assert list(csv.reader(file)) == before
    split('given.csv', out='again')
    with open('again/photos.csv', newline='') as file:
        for row in csv.DictReader(file):
            assert row['Note'] == f"{row['path'][-5]}\r"


@pytest.mark.parametrize('folder', [
    "robin's", 'back\\slash', '{{ fileDirname }}', '{{ _base_.data_root }}',
    '{{$HOME:x}}'
])
def test_names_of_folders_are_taken_as_they_stand(photos, split, folder):
    photos.rename(folder)
    split(folder, out=f'{folder} out')
    config, = glob(f'{escape(folder)} out/*.py')
    cfg = Config.fromfile(config)
    assert cfg.data_root == os.path.abspath(folder)
    for part in ('train', 'val', 'test'):
        dataset = cfg[f'{part}_dataloader'].dataset
        assert dataset.data_root == cfg.data_root
        assert os.path.samefile(dataset.ann_file, f'{folder} out/{part}.txt')
        assert os.path.samefile(dataset.classes, f'{folder} out/classes.txt')


def test_written_folder_can_be_moved(photos, split):
    split(photos)
    os.rename('out', 'moved')
    cfg = Config.fromfile('moved/my_photos.py')
    assert os.path.samefile(cfg.val_dataloader.dataset.ann_file,
                            'moved/val.txt')


def test_config_has_a_name_where_the_folder_has_no_word(photos, split):
    photos.rename('---')
    split('./---')
    assert os.path.exists('out/photos.py')


def test_hash_tells_copies_from_other_photos():
    image = draw(0, (300, 400))
    _, jpeg = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 40])
    copies = [
        image,
        cv2.imdecode(jpeg, cv2.IMREAD_COLOR),
        cv2.resize(image, (200, 150), interpolation=cv2.INTER_AREA),
        cv2.convertScaleAbs(image, alpha=.9, beta=10),
    ]
    others = [draw(seed, (300, 400)) for seed in range(1, 40)]
    hashes = np.stack([perceptual_hash(i) for i in (*copies, *others)])
    found = near_duplicates(hashes, MAX_DISTANCE)
    assert found.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
