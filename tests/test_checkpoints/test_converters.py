import json
import runpy

import pytest
import torch
from mmpretrain.registry import MODELS
from safetensors.torch import load_file, save_file

from intr_mm.checkpoints import class_queries, infer_model_cfg
from ..golden import FOLDER, GoldenCase

TOOLS = 'tools/model_converters/'


def run(tool, *args):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('sys.argv', [tool, *map(str, args)])
        runpy.run_path(f'{TOOLS}{tool}.py', run_name='__main__')


def detr_r50():
    shapes = json.loads((FOLDER / 'detr_r50_state_dict.json').read_text())
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def relative(**extra):
    """A DETR of facebookresearch with something that DETR has not."""
    return dict(model=dict(detr_r50(), **extra))


def incomplete():
    weights = GoldenCase('tiny').official_checkpoint()['model']
    del weights['transformer.encoder.layers.0.linear1.bias']
    return dict(model=weights)


WRONG = {
    ('intr_to_mmpretrain', 'a classifier'):
    (lambda: dict(state_dict={'fc.weight': torch.zeros(1)}),
     "is a checkpoint with tensors such as 'fc.weight' where an"),
    ('intr_to_mmpretrain', 'a list'): (lambda: [1, 2], 'holds a list'),
    ('intr_to_mmpretrain', 'no weights'):
    (lambda: dict(epoch=3), 'is a file without tensors by name'),
    ('intr_to_mmpretrain', 'DETR'):
    (lambda: dict(model=detr_r50()),
     'is a DETR checkpoint of facebookresearch where an official INTR'),
    ('intr_to_mmpretrain', 'few tensors'):
    (lambda: dict(model={'presence_vector.weight': torch.zeros(1, 4)}),
     "such as 'presence_vector.weight' where an official INTR"),
    ('intr_to_mmpretrain', 'a box head'): (
        lambda: dict(
            model=dict(
                GoldenCase('tiny').official_checkpoint()['model'], **
                {'bbox_embed.layers.0.weight': torch.zeros(1)})),
        "holds 'bbox_embed.layers.0.weight', which has no place in INTR"),
    ('intr_to_mmpretrain', 'a tensor lacks'):
    (incomplete, "lacks 'neck.encoder.layers.0.ffn.layers.0.0.bias'"),
    ('detr_to_mmpretrain', 'official INTR'):
    (lambda: GoldenCase('tiny').official_checkpoint(),
     'is an official INTR checkpoint where a DETR of'),
    ('detr_to_mmpretrain', 'ours'):
    (lambda: dict(state_dict=GoldenCase('tiny').model().state_dict()),
     'is a checkpoint of INTRClassifier where a DETR of'),
    ('detr_to_mmpretrain', 'a name twice'):
    (lambda: relative(**{'neck.input_proj.weight': torch.zeros(1)}),
     "what becomes 'neck.input_proj.weight' twice"),
    ('detr_to_mmpretrain', 'Conditional DETR'): (lambda: relative(
        **{'transformer.decoder.ref_point_head.layers.0.bias': torch.zeros(1)}
    ), "holds 'transformer.decoder.ref_point_head.layers.0.bias', which has"),
    ('detr_to_mmpretrain', 'Deformable DETR'): (lambda: dict(
        model={
            'query_embed.weight': torch.zeros(300, 512),
            'input_proj.0.0.weight': torch.zeros(256, 512, 1, 1)
        }), "is a checkpoint with tensors such as 'query_embed.weight' where"),
    ('mmpretrain_to_intr', 'a Swin'): (lambda: dict(
        state_dict={
            'head.presence_vector.weight': torch.zeros(1, 4),
            'backbone.patch_embed.weight': torch.zeros(1)
        }), "holds 'backbone.patch_embed.weight', for which the official"),
    ('mmpretrain_to_intr', 'several queries per class'): (
        lambda: dict(
            meta=dict(dataset_meta=dict(classes=('a', 'b', 'c'))),
            state_dict=GoldenCase('tiny').model().state_dict()),
        'has 7 queries for 3 classes'),
}


@pytest.mark.parametrize('tool, what', WRONG)
def test_wrong_files_write_nothing(tool, what, tmp_path, record_property):
    make, reason = WRONG[tool, what]
    torch.save(make(), tmp_path / 'src.pth')
    src, dst = tmp_path / 'src.pth', tmp_path / 'dst.pth'
    flags = ['--num-classes', 3] if tool.startswith('detr') else []
    with pytest.raises(SystemExit, match=reason) as exit:
        run(tool, src, dst, *flags)
    message = str(exit.value)
    assert str(src) in message and '\n' not in message
    assert message.endswith('nothing was written.')
    assert [path.name for path in tmp_path.iterdir()] == ['src.pth']
    record_property('refusal', f'{tool}: {message}'.replace(str(src), 'SRC'))


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(SystemExit, match="no/such.pth' does not exist"):
        run('intr_to_mmpretrain', 'no/such.pth', tmp_path / 'dst.pth')
    damaged = tmp_path / 'src.safetensors'
    save_file(dict(weight=torch.zeros(100)), damaged)
    damaged.write_bytes(damaged.read_bytes()[:200])
    with pytest.raises(SystemExit, match='src.safetensors.* cannot be read'):
        run('intr_to_mmpretrain', damaged, tmp_path / 'dst.pth')


@pytest.mark.slow
@pytest.mark.parametrize('num_classes', [7, 100, 250])
def test_detr_becomes_the_start_of_intr(num_classes, tmp_path, capsys):
    """Every tensor of the key list is used or named, and all are filled."""
    detr = detr_r50()
    torch.save(dict(model=detr), tmp_path / 'detr.pth')
    run('detr_to_mmpretrain', tmp_path / 'detr.pth', tmp_path / 'intr.pth',
        '--num-classes', num_classes, '--noise-frac', .5)
    report = capsys.readouterr().out
    state_dict = torch.load(
        tmp_path / 'intr.pth', weights_only=True)['state_dict']
    heads = [name for name in detr if 'class_' in name or 'bbox_' in name]
    assert len(heads) == 8 and all(name in report for name in heads)
    assert 'initialised head.presence_vector.weight, head.presence_' in report
    assert len(state_dict) == len(detr) - 8 + 2

    cfg = infer_model_cfg(state_dict)
    assert (cfg['backbone']['depth'], cfg['neck']['num_layers'],
            cfg['head']['num_layers']) == (50, 6, 6)
    MODELS.build(cfg).load_state_dict(state_dict, strict=True)
    assert not state_dict['head.presence_vector.bias'].any()
    bound = (6 / 257)**.5
    assert 0 < state_dict['head.presence_vector.weight'].abs().max() <= bound

    left = {
        name: tensor
        for name, tensor in detr.items()
        if name not in heads and name != 'query_embed.weight'
    }
    pointers = {tensor.double().sum().item() for tensor in left.values()}
    assert pointers <= {t.double().sum().item() for t in state_dict.values()}


@pytest.mark.parametrize('num_queries', [7, 100, 250])
def test_query_rule(num_queries):
    detr = torch.randn(100, 16)
    queries = class_queries(detr, num_queries, noise_frac=.5)
    kept = min(num_queries, 100)
    assert len(queries) == num_queries
    assert torch.equal(queries[:kept], detr[:kept])
    # as on another process, whose generator stands elsewhere
    torch.rand(1)
    again = class_queries(detr, num_queries, noise_frac=.5)
    assert torch.equal(again, queries)
    if num_queries > 100:
        noise = torch.cat([queries[100:200] - detr, queries[200:] - detr[:50]])
        assert noise.std() == pytest.approx(.5, rel=.05)
        other = class_queries(detr, num_queries, noise_frac=.5, seed=1)
        assert not torch.equal(other[100:], queries[100:])


@pytest.mark.parametrize('ending', ['.pth', '.safetensors'])
def test_round_trip_is_bit_equal(ending, tmp_path):
    """From the official format and back, by way of either kind of file."""
    official = GoldenCase('tiny').official_checkpoint()
    torch.save(official, tmp_path / 'official.pth')
    ours, back = tmp_path / f'ours{ending}', tmp_path / f'back{ending}'
    run('intr_to_mmpretrain', tmp_path / 'official.pth', ours)
    run('mmpretrain_to_intr', ours, back)
    if ending == '.pth':
        weights = torch.load(back, weights_only=True)['model']
    else:
        weights = load_file(back)
    assert weights.keys() == official['model'].keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, official['model'][name]), name

    # the content tells what a file is, not its name
    disguised = tmp_path / 'disguised.bin'
    back.rename(disguised)
    run('intr_to_mmpretrain', disguised, tmp_path / 'again.pth')
    again = torch.load(tmp_path / 'again.pth', weights_only=True)
    GoldenCase('tiny').model().load_state_dict(again['state_dict'])


def test_trained_checkpoint_is_exported(tmp_path):
    """With counters of batches, optimizer and the prefix of DDP."""
    model = GoldenCase('tiny').model()
    torch.save(
        dict(
            meta=dict(dataset_meta=dict(classes=list('abcdefg'))),
            state_dict={
                f'module.{name}': tensor
                for name, tensor in model.state_dict().items()
            },
            optimizer=dict(state={})), tmp_path / 'epoch_1.pth')
    run('mmpretrain_to_intr', tmp_path / 'epoch_1.pth', tmp_path / 'out.pth')
    weights = torch.load(tmp_path / 'out.pth', weights_only=True)['model']
    assert {
        name: list(tensor.shape)
        for name, tensor in weights.items()
    } == GoldenCase('tiny').shapes
