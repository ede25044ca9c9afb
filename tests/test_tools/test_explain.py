"""The tool as a user runs it, on drawn weights."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import cv2
import pytest
import torch

from intr_mm.datasets import RingSpecies
from intr_mm.visualization import HTMLReport
from ..tiny import (CONFIG, DEMO, ROOT, save_demo, save_model, tiny_model,
                    write_birds)

TOOL = 'visualization/explain.py'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return save_demo(tmp_path_factory.mktemp('random') / 'random.pth')


def arguments(checkpoint, folder, *flags):
    return [
        DEMO, checkpoint, *map(str, flags), '--device', 'cpu', '--cfg-options',
        'test_dataloader.dataset.num_samples=24',
        f"test_dataloader.dataset.cache_dir={folder / 'cache'}"
    ]


@pytest.fixture
def explain(checkpoint, tmp_path, monkeypatch, run_tool):
    """Run the tool in this process, in the test's folder."""

    def run(*flags):
        monkeypatch.chdir(tmp_path)
        run_tool(TOOL, *arguments(checkpoint, tmp_path, *flags))

    return run


def height(path):
    return cv2.imread(str(path)).shape[0]


@pytest.mark.slow
def test_test_images_of_a_class(checkpoint, tmp_path):
    """All that the tool draws, in a process of its own."""
    out = tmp_path / 'out'
    done = subprocess.run([
        sys.executable, ROOT / 'tools' / TOOL,
        *arguments(checkpoint, tmp_path, '--classes', 'frost_bunting', 'top3',
                   '--layer', 0, -1, '--heads', 'best4', '--memory', '--num',
                   1, '--out', out, '--report', tmp_path / 'r.html')
    ],
                          cwd=tmp_path,
                          env=dict(
                              os.environ,
                              PYTHONPATH=str(ROOT),
                              OMP_NUM_THREADS='1'),
                          text=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT,
                          timeout=300)
    assert done.returncode == 0, done.stdout
    dataset = RingSpecies(num_samples=24, seed=2)
    first = [dataset.metainfo['classes'][i] for i in dataset.get_gt_labels()]
    first = first.index('Frost Bunting')
    assert sorted(path.name for path in out.iterdir()) == [
        f'{first}_layer{layer}{memory}.png' for layer in (0, 1)
        for memory in ('', '_memory')
    ]
    # Three classes at least, and one row.
    assert height(
        out /
        f'{first}_layer1.png') > 2 * height(out / f'{first}_layer1_memory.png')
    assert 'Frost Bunting' in (tmp_path / 'r.html').read_text()


def test_test_images_of_named_classes(explain, tmp_path, capsys):
    """Those of which one is true, or with `gt` all."""
    labels = RingSpecies(num_samples=24, seed=2).get_gt_labels()
    for flags, wanted in ((('3', 'harbour siskin', 'top2'), {3, 7}),
                          (('gt', '3'), set(range(12)))):
        explain('--classes', *flags, '--heads', 0, '--num', 1, '--out',
                tmp_path / 'out')
        found = [i for i, label in enumerate(labels) if label in wanted]
        assert {path.stem
                for path in (tmp_path / 'out').iterdir()} == {str(found[0])}
        shutil.rmtree(tmp_path / 'out')
        said = f"{len(found)} of 24 images show 'Dusk Warbler' or 'Harbour "
        assert (said in capsys.readouterr().out) == ('gt' not in flags)
    with pytest.raises(SystemExit, match="No image .* shows 'Dusk Warbler'"):
        explain('--classes', 3, '--cfg-options',
                'test_dataloader.dataset.indices=1')


def test_report_has_maps_of_what_is_predicted(explain, tmp_path):
    explain('--classes', 3, '--report', 'r.html', '--deletion-images', 0)
    page = (tmp_path / 'r.html').read_text()
    items, summary = (
        json.loads(re.search(f'id="{name}">(.*?)</script>', page)[1])
        for name in ('items', 'summary'))
    assert summary['chosen'] == [3]
    assert {item['gt'] for item in items} == {3}
    assert any(item['pred'] != 3 for item in items)
    assert all(item['pred'] in item['classes'] for item in items)


def test_images_of_wrapped_data_sets(checkpoint, tmp_path, monkeypatch,
                                     run_tool):
    """All of them, in the order of a test; samples that stand for others
    count as often as there."""
    config = tmp_path / 'both.py'
    ring = dict(
        type='RingSpecies', num_samples=2, cache_dir=str(tmp_path / 'cache'))
    parts = [
        dict(ring, seed=2, pipeline=[dict(type='PackInputs')]),
        dict(
            type='RepeatDataset',
            times=2,
            dataset=dict(ring, seed=3, pipeline=[dict(type='PackInputs')])),
    ]
    config.write_text(
        f'_base_ = [{DEMO!r}]\ntest_dataloader = dict(dataset=dict(_delete_='
        f"True, type='ConcatDataset', datasets={parts!r}))\n")
    monkeypatch.chdir(tmp_path)
    run_tool(TOOL, str(config), checkpoint, '--heads', 'mean', '--out', 'out')
    pictures = [(tmp_path / f'out/{name}.png').read_bytes()
                for name in range(6)]
    assert pictures[2:4] == pictures[4:] and len(set(pictures)) == 4

    parts[0]['pipeline'] *= 2
    config.write_text(
        f'_base_ = [{DEMO!r}]\ntest_dataloader = dict(dataset=dict(_delete_='
        f"True, type='ConcatDataset', datasets={parts!r}))\n")
    with pytest.raises(SystemExit, match='several pipelines'):
        run_tool(TOOL, str(config), checkpoint, '--out', 'out')


def test_data_whose_classes_have_other_numbers(tmp_path, monkeypatch,
                                               run_tool):
    monkeypatch.chdir(tmp_path)
    path = save_demo(tmp_path / 'demo.pth')
    content = torch.load(path, weights_only=False)
    content['meta']['dataset_meta']['classes'] = list(
        reversed(RingSpecies.METAINFO['classes']))
    torch.save(content, path)
    with pytest.raises(SystemExit, match='in test_dataloader but number 11'):
        run_tool(TOOL, *arguments(path, tmp_path))


def test_photos_are_not_replaced_by_their_pictures(explain, tmp_path):
    write_birds(tmp_path / 'photos', (96, 96))
    before = (tmp_path / 'photos/bird_0.png').read_bytes()
    for image in ('photos', 'photos/bird_0.png'):
        with pytest.raises(SystemExit, match="'photos' holds what is read"):
            explain('--img', image, '--out', 'photos')
    with pytest.raises(SystemExit, match='2'):
        explain('--img', 'photos', '--report', 'photos/bird_0.png')
    assert (tmp_path / 'photos/bird_0.png').read_bytes() == before


def test_images_of_a_folder(explain, tmp_path, capsys):
    folder = tmp_path / 'birds'
    write_birds(folder, (96, 96), (120, 160), (200, 96))
    explain('--img', folder, '--num', 2, '--classes', 3, '--heads', 'mean',
            '--batch-size', 2)
    out = tmp_path / 'work_dirs/intr_demo/explain'
    assert [p.name
            for p in sorted(out.iterdir())] == ['bird_0.png', 'bird_2.png']
    assert 'Pictures of 2 images are in work_dirs/' in capsys.readouterr().out


@pytest.fixture
def damaged(tmp_path):
    """A folder of three birds, two of which are called alike, and one that
    is cut."""
    folder = tmp_path / 'birds'
    write_birds(folder, (96, 96), (96, 120), (96, 96), (96, 96))
    for old, new in (('bird_1.png', 'bird_0.apng'), ('bird_2.png', 'z.png'),
                     ('bird_3.png', 'm_cut.png')):
        (folder / old).rename(folder / new)
    cut = folder / 'm_cut.png'
    cut.write_bytes(cut.read_bytes()[:2000])
    return folder


def test_one_image_that_cannot_be_read(explain, damaged, capsys):
    out, report = damaged / 'out', damaged / 'r.html'
    explain('--img', damaged, '--batch-size', 2, '--out', out, '--report',
            report)
    assert sorted(path.name for path in out.iterdir()) == [
        'bird_0_0.png', 'bird_0_1.png', 'z.png'
    ]  # yapf: disable
    page = report.read_text()
    assert 'bird_0_1' in page
    assert re.search('Of 4 images, 1 cannot be read<.*m_cut.png', page)
    assert '3 with even attention and 3 by deletion.' in page
    assert re.search(r'"Checkpoint":"random.pth, SHA-256 [0-9a-f]{16}"', page)
    printed = capsys.readouterr()
    assert 'Pictures of 3 images' in printed.out
    assert 'Of 4 images, 1 cannot be read:\n- Image ' in printed.err
    assert 'm_cut.png' in printed.err


@pytest.mark.parametrize('signum', [signal.SIGINT, signal.SIGTERM])
def test_a_report_that_is_stopped(explain, damaged, monkeypatch, capsys,
                                  signum):
    """What was explained is kept, and the code is that of the signal."""
    add = HTMLReport.add

    def stop(report, explanation):
        if len(report) == 2:
            os.kill(os.getpid(), signum)
            time.sleep(5)
        add(report, explanation)

    monkeypatch.setattr(HTMLReport, 'add', stop)
    with pytest.raises(SystemExit) as end:
        explain('--img', damaged, '--report', 'r.html')
    assert end.value.code == 128 + signum
    words = 'stopped after 3 of 4 photos'
    output = capsys.readouterr()
    assert f'The report is r.html, {words}.' in output.out
    assert f'stopped by {signum.name}' in output.err
    page = (damaged.parent / 'r.html').read_text()
    assert f'where classes look ({words})</h1>' in page
    assert 'Of 3 images, 1 cannot be read' in page


def test_each_image_that_cannot_be_read_is_named_as_it_comes(
        explain, damaged, monkeypatch):
    texts = []
    monkeypatch.setattr('intr_mm.apis.inferencer.print_log',
                        lambda text, **_: texts.append(text))
    (damaged / 'a.png').touch()
    explain('--img', damaged)
    for name, text in zip(('a.png', 'm_cut.png'), texts, strict=True):
        assert text.startswith(f"Image '{damaged / name}' cannot be read")
        assert text.endswith(' It is passed over.')


def test_strict(explain, damaged):
    with pytest.raises(SystemExit, match="m_cut.png' cannot be read"):
        explain('--img', damaged, '--strict')
    for path in damaged.iterdir():
        path.write_bytes(b'')
    with pytest.raises(SystemExit, match='None of 4 images .*bird_0.apng'):
        explain('--img', damaged)


@pytest.mark.parametrize('flags, message', [
    (('--report', '/proc/r.html'), '/proc/r.html'),
    (('--report', '.'), "'.' is a folder: name a file"),
    (('--out', '/proc/out'), '/proc/out'),
])
def test_places_are_checked_before_the_work(explain, tmp_path, flags, message,
                                            capsys):
    write_birds(tmp_path / 'birds', (96, 96))
    with pytest.raises(SystemExit):
        explain('--img', tmp_path / 'birds', *flags)
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'work_dirs').exists()


@pytest.mark.parametrize('against', ['rival', '4'])
def test_against(tmp_path, run_tool, monkeypatch, against):
    """The class is drawn too, and compared with."""
    head = dict(type='EvidenceHead', num_classes=5, embed_dims=16, num_heads=2)
    config = tmp_path / 'evidence.py'
    config.write_text(f'_base_ = [{CONFIG!r}]\n'
                      f'model = dict(head=dict(_delete_=True, **{head!r}))\n')
    head = dict(head, _delete_=True)
    path = save_model(tiny_model(head=head), tmp_path / 'evidence.pth')
    write_birds(tmp_path / 'birds', (96, 96))
    monkeypatch.chdir(tmp_path)
    heights = []
    for flags in ((), ('--against', against)):
        run_tool(TOOL, config, path, '--img', tmp_path / 'birds', '--device',
                 'cpu', '--out', tmp_path / 'out', *flags)
        heights.append(height(tmp_path / 'out' / 'bird_0.png'))
    assert heights[1] > 1.4 * heights[0]


@pytest.mark.parametrize('flags, names', [
    (('--figure', 'gallery', '--classes', 'crow', '--heads', 1, 'mean',
      '--width-mm', 85), ['gallery_crow_1', 'gallery_crow_mean']),
    (('--figure', 'traits', '--classes', 'crow', '--num', 2), ['traits_crow']),
    (('--figure', 'comparison', '--against', 'wren', '--memory'),
     [f'bird_{i}{of}' for i in range(3) for of in ('_mean', '_memory')]),
    (('--heads', 1, '--no-titles', '--columns', 1),
     ['bird_0', 'bird_1', 'bird_2']),
    (('--num', 1, '--heads', 'mean', '--per-panel-files'),
     ['bird_0_1-1_.*_image', 'bird_0_1-2_.*_mean', 'bird_0_scale_1']),
])
def test_figures_for_papers(tmp_path, run_tool, flags, names):
    path = save_model(
        tiny_model(std=5), tmp_path / 'tiny.pth', ['wren', 'crow', 'gull'])
    write_birds(tmp_path / 'birds', (96, 96), (96, 128), (128, 96))
    run_tool(TOOL, CONFIG, path, '--img', tmp_path / 'birds', '--device',
             'cpu', '--out', tmp_path / 'out', '--format', 'pdf', '--dpi', 60,
             *flags)
    found = sorted((tmp_path / 'out').iterdir())
    assert len(found) == len(names)
    for file, name in zip(found, names):
        assert re.fullmatch(name, file.stem)
        assert file.read_bytes().startswith(b'%PDF')


@pytest.mark.parametrize('flags, message', [
    (('--figure', 'gallery'), '--figure gallery shows one class: name it'),
    (('--figure', 'gallery', '--classes', 'top2'), 'gallery shows one class'),
    (('--figure', 'traits', '--classes', 3, 4), 'name it, and no other'),
    (('--figure', 'comparison', '--classes', 3, 4), 'with that of --against'),
    (('--class', 3), 'unrecognized arguments: --class 3'),
    (('--figure', 'traits', '--classes', 3, '--heads', 'best4'),
     'name the heads by their numbers'),
    (('--heads', 'all', 2), '--heads all stands alone'),
    (('--heads', -1), "'-1' is neither all, mean, best4 nor the number"),
    (('--cmap', 'rainbows'), "--cmap 'rainbows' is no colour map"),
    (('--width-mm', 0), '--width-mm: has to be 1 to 5000'),
    (('--quantile', 2), '--quantile: has to be 0.5 to 1'),
    (('--deletion-images', 4), '--deletion-images is for the report: name'),
    (('--image-size', 800), '--image-size is for the report: name its file'),
])
def test_flags_that_make_no_figure(explain, capsys, flags, message):
    with pytest.raises(SystemExit):
        explain(*flags)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize('flags, message', [
    (('--classes', 'Frost Buntin'), 'the closest names are Frost Bunting'),
    (('--img', 'gone.jpg'), "'gone.jpg' is neither an image nor a folder"),
    (('--layer', -1, 2), 'layer=2 is out of range for a decoder of 2 layers'),
    (('--heads', 4), 'Head 4 is not there: the layer has the heads 0 to 3'),
    (('--against', 'rival'), "the model's INTRHead does not give"),
])
def test_mistakes_end_in_one_sentence(explain, flags, message):
    with pytest.raises(SystemExit) as end:
        explain(*flags)
    assert message in end.value.code
    assert '\n' not in end.value.code
