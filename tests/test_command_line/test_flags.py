"""What flags refuse before a tool does anything."""
from argparse import ArgumentParser
from pathlib import Path

import pytest
from mmengine.fileio.io import file_handlers

from intr_mm.visualization.style import SCREEN, FigureStyle
from intr_mm_flags import (DATA_FILES, OptionsAction, add_figure_flags,
                           check_figure_flags, check_not_read, device,
                           is_exported, number, output_file, output_folder)


def parse(capsys, *args, **kwargs):
    """The value of a flag, or the usage error."""
    parser = ArgumentParser()
    parser.add_argument('--flag', **kwargs)
    try:
        return parser.parse_args(['--flag', *args]).flag
    except SystemExit as end:
        assert end.code == 2
        return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize('kind, text, expected', [
    (number(1), '3', 3),
    (number(1), '0', "--flag: has to be a whole number, 1 or more, got '0'"),
    (number(1), '-4', "1 or more, got '-4'"),
    (number(1), '1.5', "whole number, 1 or more, got '1.5'"),
    (number(0, 9), '10', "whole number, 0 to 9, got '10'"),
    (number(0, kind=float), '.5', .5),
    (number(0, kind=float), 'nan', "0 or more, got 'nan'"),
    (number(0, kind=float), 'inf', "0 or more, got 'inf'"),
    (device, 'cpu', 'cpu'),
    (device, 'gpu0', "'gpu0' is no device: use cpu, or such as cuda:0"),
    (device, 'cuda:99', "'cuda:99' is not there"),
    (device, 'meta', "'meta' computes nothing here: use cpu"),
    (device, 'xla', "'xla' computes nothing here: use cpu"),
])
def test_values(capsys, kind, text, expected):
    found = parse(capsys, text, type=kind)
    assert found == expected or expected in str(found)


def test_what_is_read_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'photos'
    folder.mkdir()
    for path in (folder / 'a.png', tmp_path / 'b.png'):
        path.touch()
    (tmp_path / 'link').symlink_to(folder)
    for out, read in (('b.png', 'photos/../b.png'), (folder / 'a.png',
                                                     'link/a.png')):
        with pytest.raises(ValueError, match=f"'{out}' is what is read, whic"):
            check_not_read(out, ['c.png', read])
    for out, read in (('link', 'photos/a.png'), ('.', 'b.png')):
        with pytest.raises(ValueError, match=f"'{out}' holds what is read, w"):
            check_not_read(out, [read])
    for out in ('photos', 'new', 'new/b.png', 'photos/a.png'):
        check_not_read(out, ['b.png', 'https://a.bc/b.png', 'c/d.png'])


def test_exported_files_are_told_by_their_ending():
    assert is_exported('a.b/model.onnx') and is_exported(Path('MODEL.ONNX'))
    assert not is_exported('model.onnx.pth') and not is_exported(None)


@pytest.mark.parametrize('path, message', [
    ('new/folder/r.json', None),
    ('new/R.JSON', None),
    ('r.xyz', "'r.xyz' has an ending that cannot be written: use .json"),
    ('r', "'r' has an ending"),
    ('/proc/nope/r.json', "'/proc/nope/r.json' cannot be written ("),
    ('old.json/r.json', "'old.json/r.json' cannot be written (Not a dir"),
    ('folder.json', "'folder.json' is a folder: name a file"),
    ('old.json', None),
])
def test_output_file(tmp_path, monkeypatch, capsys, path, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'folder.json').mkdir()
    (tmp_path / 'old.json').write_text('kept')
    found = parse(capsys, path, type=output_file('.json'))
    assert found == path if message is None else message in found
    assert (tmp_path / 'old.json').read_text() == 'kept'
    assert len(list(tmp_path.iterdir())) == 2  # nothing is made or left


@pytest.mark.parametrize('path, message', [
    ('new/folder', None),
    ('.', None),
    ('', 'is empty: name one'),
    ('file', "'file' cannot be written (Not a directory): choose another"),
    ('/proc/nope', "'/proc/nope' cannot be written"),
])
def test_output_folder(tmp_path, monkeypatch, capsys, path, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').touch()
    found = parse(capsys, path, type=output_folder)
    assert found == path if message is None else message in found


@pytest.mark.parametrize('option', ['abc', '=5', 'a..b=1', '.a=1', 'a=[1,[2]'])
def test_options_that_are_none(capsys, option):
    error = parse(capsys, 'x=1', option, nargs='+', action=OptionsAction)
    assert '--flag' in error and option in error


def test_defaults_that_are_written_twice(capsys):
    """The flags do not import what they are the flags of."""
    assert set(DATA_FILES) == {f'.{ending}' for ending in file_handlers}
    parser = ArgumentParser()
    parser.add_argument('--classes', default=['pred'])
    add_figure_flags(parser)
    args = parser.parse_args([])
    check_figure_flags(parser, args)
    assert FigureStyle(**args.style) == SCREEN
    shown = ' '.join(parser.format_help().split())
    assert f'(default: {SCREEN.dpi}, or 300 with --width-mm)' in shown
    assert f'largest (default: {SCREEN.quantile})' in shown


def test_options(capsys):
    assert parse(
        capsys, 'a.b=[1,2]', 'c=x=y', nargs='+', action=OptionsAction) == {
            'a.b': [1, 2],
            'c': 'x=y'
        }
