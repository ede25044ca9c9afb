"""What converters refuse before their work, and tensors of the wrong kind."""
import os

import numpy as np
import pytest
import torch

from ..golden import GoldenCase
from .test_converters import run

NAMES = [
    'input_proj.weight', 'query_embed.weight',
    'transformer.decoder.layers.0.linear1.bias',
    'transformer.encoder.layers.0.self_attn.in_proj_weight'
]
CHANGES = dict(
    scalar=lambda t: torch.tensor(1.),
    empty=lambda t: t[:0],
    flat=lambda t: t.flatten(),
    deeper=lambda t: t[None],
    longer=lambda t: torch.cat([t, t, t]),
    integers=lambda t: t.long(),
    bools=lambda t: t > 0,
    complex=lambda t: t + 0j,
    nan=lambda t: t * np.nan,
    expanded=lambda t: t[:1].expand(10**9, *t.shape[1:]),
    array=lambda t: t.numpy(),
)


@pytest.fixture(scope='module')
def official():
    return GoldenCase('tiny').official_checkpoint()['model']


@pytest.mark.parametrize('change', CHANGES)
def test_tensor_of_the_wrong_kind(official, change, tmp_path):
    """Each of them in turn, to each converter that takes such a file."""
    src, dst = tmp_path / 'src.pth', tmp_path / 'dst.pth'
    for name in NAMES:
        weights = dict(official)
        weights[name] = CHANGES[change](weights[name])
        if change == 'flat' and weights[name].shape == official[name].shape:
            continue
        # without its presence vector it is a DETR
        tool, flags = 'intr_to_mmpretrain', ()
        if name == 'query_embed.weight' and change != 'longer':
            del weights['presence_vector.weight']
            del weights['presence_vector.bias']
            tool, flags = 'detr_to_mmpretrain', ('--num-classes', 3)
        torch.save(dict(model=weights), src)
        if change == 'longer' and name == 'query_embed.weight':
            run(tool, src, dst, *flags)  # of more classes
            dst.unlink()
            continue
        with pytest.raises(SystemExit, match='nothing was written.$') as exit:
            run(tool, src, dst, *flags)
        message = str(exit.value)
        assert str(src) in message and '\n' not in message, name
        assert len(message) < 500
        assert os.listdir(tmp_path) == ['src.pth']


@pytest.fixture
def src(official, tmp_path):
    torch.save(dict(model=official), tmp_path / 'src.pth')
    return tmp_path / 'src.pth'


def convert(src, dst, *flags):
    run('intr_to_mmpretrain', src, dst, *flags)


@pytest.mark.parametrize('name, problem', [
    ('src.pth', 'is the file to convert'),
    ('./sub/../src.pth', 'is the file to convert'),
    ('link.pth', 'is the file to convert'),
    ('hard.pth', 'is the file to convert'),
    ('dst', 'needs one of the endings'),
    ('dst.onnx', 'needs one of the endings'),
    ('there.pth', 'is there already.*--overwrite'),
    ('dangling.pth', 'is there already.*--overwrite'),
    ('folder.pth', 'is a folder'),
    ('there.pth/dst.pth', 'choose another folder'),
])
def test_place_that_is_refused(src, name, problem, tmp_path, monkeypatch):
    (tmp_path / 'sub').mkdir()
    (tmp_path / 'folder.pth').mkdir()
    (tmp_path / 'link.pth').symlink_to(src)
    (tmp_path / 'dangling.pth').symlink_to(tmp_path / 'nothing')
    os.link(src, tmp_path / 'hard.pth')
    (tmp_path / 'there.pth').write_text('mine')
    before = sorted(os.listdir(tmp_path)), src.read_bytes()
    # before any work
    monkeypatch.setattr('intr_mm.checkpoints.writing.CheckpointLoader', None)
    with pytest.raises(SystemExit, match=problem) as exit:
        convert(src, f'{tmp_path}/{name}')
    assert str(exit.value).endswith('nothing was written.')
    assert (sorted(os.listdir(tmp_path)), src.read_bytes()) == before
    assert (tmp_path / 'there.pth').read_text() == 'mine'


def test_overwrite_replaces_a_link_and_not_what_it_names(src, tmp_path):
    mine = tmp_path / 'mine'
    mine.write_text('mine')
    dst = tmp_path / 'dst.pth'
    dst.symlink_to(mine)
    with pytest.raises(SystemExit, match='is the file to convert'):
        convert(src, src, '--overwrite')
    convert(src, dst, '--overwrite')
    assert mine.read_text() == 'mine' and not dst.is_symlink()
    assert torch.load(dst, weights_only=True)['state_dict']
    assert sorted(os.listdir(tmp_path)) == ['dst.pth', 'mine', 'src.pth']
