"""One exported file computes what PyTorch does, for any batch and size."""
import json
import runpy
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from mmengine.utils import digit_version
from torch import nn
from torch.testing import assert_close

from intr_mm.apis import INTRInferencer
from intr_mm.deploy import (ExportedClassifier, export_onnx, onnx_export,
                            quantize_onnx)
from intr_mm.deploy.quantization import compare_sessions
from intr_mm.deploy.session import ENGINES, Session, openvino_core
from intr_mm.models import explain_batch
from ..test_models.test_evidence_head import evidence_cfg
from ..tiny import (CONFIG, ROOT, data_options, save_model, tiny_batch,
                    tiny_model)

can_export = digit_version(torch.__version__) >= digit_version('2.9') and all(
    map(find_spec, ('onnx', 'onnxscript', 'onnxruntime')))
needs_export = pytest.mark.skipif(
    not can_export, reason='needs PyTorch 2.9 and the extra deploy')
needs_openvino = pytest.mark.skipif(
    not find_spec('openvino'), reason='openvino is not installed')
EVIDENCE = dict(head=dict(evidence_cfg(), _delete_=True))
CLOSE = dict(rtol=0, atol=1e-4)
NAMES = ['Robin', 'Blue_Jay', 'Wren']


@pytest.fixture(scope='session')
def intr(tmp_path_factory):
    """A checkpoint, what the tool made of it, and the model."""
    folder = tmp_path_factory.mktemp('intr')
    checkpoint, path = folder / 'model.pth', folder / 'model.onnx'
    model = tiny_model(std=5., pad_after_backbone=True)
    save_model(model, checkpoint, NAMES)
    tool = ROOT / 'tools' / 'deployment' / 'export.py'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [
            str(tool), CONFIG,
            str(checkpoint),
            str(path), '--maps', 'all', '--temperature', '2', '--cfg-options',
            'model.pad_after_backbone=True'
        ])
        runpy.run_path(str(tool), run_name='__main__')
    return str(checkpoint), str(path), model


@pytest.fixture(scope='session')
def evidence(tmp_path_factory):
    """A file with maps of two classes, and the model of it."""
    path = str(tmp_path_factory.mktemp('evidence') / 'model.onnx')
    model = tiny_model(**EVIDENCE)
    export_onnx(model, path, maps=2)
    return path, model


def padded_batch(batch, height, width, padding):
    """Images and samples; with padding, they are of several sizes."""
    sizes = [(height, width)] * batch
    if padding:
        sizes[batch - 1] = (height - 37, width * 2 // 3)
        sizes[batch // 2] = (height * 3 // 4, width)
        sizes[0] = (height, width)
    model = tiny_model()
    data = model.data_preprocessor(tiny_batch(*sizes))
    mask = torch.ones(batch, height, width, dtype=torch.bool)
    for of_image, (h, w) in zip(mask, sizes):
        of_image[:h, :w] = False
    return data, mask if padding else None


@needs_export
@pytest.mark.parametrize(
    'head', ['intr', pytest.param('evidence', marks=pytest.mark.heavy)])
@pytest.mark.parametrize('options', [
    dict(engine='onnxruntime'),
    pytest.param(dict(engine='openvino'), marks=needs_openvino),
    pytest.param(dict(compile=True), marks=needs_openvino)
])
@torch.no_grad()
def test_any_batch_and_size(request, options, head):
    *_, path, model = request.getfixturevalue(head)
    session = Session(path, **options)
    # what the file says of padding: the official code's way
    plain = tiny_model(**(EVIDENCE if head == 'evidence' else {}))
    plain.load_state_dict(model.state_dict())
    for case in ((1, 224, 224, False), (2, 448, 448, True),
                 (7, 333, 517, True), (2, 333, 517, False),
                 (7, 224, 224, True), (1, 448, 448, False), (1, 32, 40,
                                                             False)):
        data, mask = padded_batch(*case)
        found = session(data['inputs'], mask)
        assert_close(found['logits'], plain(**data), **CLOSE)
        classes = found.get('classes')
        if classes is not None:
            best = found['logits'].topk(2).indices
            assert torch.equal(classes, best)
        asked = dict(classes=classes)
        maps = plain.get_attention(**data, **asked)
        assert_close(found['attention'], maps, **CLOSE)
        if head == 'evidence':
            assert_close(found['evidence'],
                         plain.get_evidence(**data, **asked), **CLOSE)


@needs_export
def test_metadata(intr):
    meta = Session(intr[1]).metadata
    assert meta['classes'] == NAMES and meta['temperature'] == 2
    assert meta['cells'] == dict(stride=16, offset=0)
    assert meta['preprocessor']['mean'] == [127.5] * 3
    assert meta['preprocessor']['to_rgb'] and meta['maps'] == 'all'
    assert meta['pad_after_backbone']


@needs_export
def test_inferencer_is_that_of_the_checkpoint(intr):
    checkpoint, path, _ = intr
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (*size, 3), np.uint8)
        for size in ((48, 48), (60, 90), (70, 50))
    ]
    results, explained = [], []
    for inferencer in (INTRInferencer(CONFIG, checkpoint, temperature=2),
                       INTRInferencer(path), INTRInferencer(CONFIG, path)):
        inferencer.model.pad_after_backbone = True
        results.append(
            inferencer(images, batch_size=3, maps=['top2', 'Blue Jay']))
        explained.append(
            list(inferencer.explain(images, ['top3'], batch_size=3)))
    for others, explanations in zip(results[1:], explained[1:]):
        for one, other in zip(results[0], others):
            assert one.keys() == other.keys()
            assert one['attention_classes'] == other['attention_classes']
            assert one['pred_class'] == other['pred_class']
            assert one['geometry'] == other['geometry']
            for key in ('pred_scores', 'attention', 'even_score'):
                np.testing.assert_allclose(one[key], other[key], **CLOSE)
        for one, other in zip(explained[0], explanations):
            assert one.classes == other.classes
            np.testing.assert_allclose(one.maps, other.maps, **CLOSE)
            np.testing.assert_allclose(one.even_scores, other.even_scores,
                                       **CLOSE)


@needs_export
@pytest.mark.parametrize('after', [True, False])
@torch.no_grad()
def test_batch_of_several_sizes(intr, after):
    _, path, model = intr
    plain = tiny_model(pad_after_backbone=after)
    plain.load_state_dict(model.state_dict())
    classifier = ExportedClassifier(path).eval()
    classifier.metadata['pad_after_backbone'] = after
    images = tiny_batch((64, 96), (50, 70), (50, 70), (33, 131))['inputs']
    expected, _ = explain_batch(plain, images, classes=['top2'])
    found, _ = explain_batch(classifier, images, classes=['top2'])
    for one, other in zip(expected, found):
        assert_close(one.pred_score, other.pred_score, **CLOSE)
        assert_close(one.attention, other.attention, **CLOSE)


@needs_export
def test_tools_take_the_file(intr, images, run_tool, tmp_path):
    checkpoint, path, _ = intr
    metrics = {}
    for file in (checkpoint, path):
        out = tmp_path / 'metrics.json'
        run_tool('test.py', CONFIG, file, '--work-dir', tmp_path / 'work',
                 '--out', out, '--out-item', 'metrics', '--cfg-options',
                 f'test_dataloader.dataset.data_root={images}')
        metrics[file] = json.loads(out.read_text())
    one, other = metrics.values()
    assert one == other and 'accuracy/top1' in one
    run_tool('visualization/explain.py', CONFIG, path, '--classes', 'top2',
             '--report', tmp_path / 'report.html', '--cfg-options',
             f'test_dataloader.dataset.data_root={images}')
    assert 'Robin' in (tmp_path / 'report.html').read_text()


@needs_export
def test_refusals(evidence, tmp_path):
    held, _ = evidence
    images = tiny_batch((64, 64))['inputs']
    classifier = ExportedClassifier(held).eval()
    with pytest.raises(ValueError, match='of the best 2 .* --maps all'):
        explain_batch(classifier, images, classes=['top3'])
    with pytest.raises(IndexError, match='layer=1'):
        explain_batch(classifier, images, classes=['pred'], layers=[1])
    with pytest.raises(ValueError, match="mode='loss'"):
        classifier(images[0][None], mode='loss')
    with pytest.raises(FileNotFoundError, match='no.onnx'):
        Session(str(tmp_path / 'no.onnx'))
    (tmp_path / 'bad.onnx').write_bytes(b'no file')
    with pytest.raises(ValueError, match='bad.onnx.* cannot be run'):
        INTRInferencer(str(tmp_path / 'bad.onnx'))
    for compiled in (False, True):
        with pytest.raises(ValueError, match="engine='caffe' is not known"):
            Session(held, 'caffe', compile=compiled)
    with pytest.raises(ValueError, match="dtype='int4' is not known"):
        Session(held, dtype='int4')
    with pytest.raises(ValueError, match="bfloat16.*engine='openvino'"):
        Session(held, 'onnxruntime', 'bfloat16')
    with pytest.raises(ValueError, match="compile=True.*engine='openvino'"):
        Session(held, 'onnxruntime', compile=True)


@needs_export
@needs_openvino
def test_compiles_once_for_a_size(intr, images, run_tool, tmp_path,
                                  monkeypatch):
    import openvino
    compiled = []
    compile_model = openvino.Core.compile_model

    def count(core, graph, *args):
        compiled.append([tuple(i.partial_shape) for i in graph.inputs])
        return compile_model(core, graph, *args)

    monkeypatch.setattr(openvino.Core, 'compile_model', count)
    run_tool('test.py', CONFIG, intr[1], '--fast', 'float32', '--compile',
             '--work-dir', tmp_path, '--cfg-options',
             f'test_dataloader.dataset.data_root={images}')
    # three batches of three, and the last; without their mask
    assert compiled == [[(3, 3, 48, 48)], [(2, 3, 48, 48)]]


@needs_export
@needs_openvino
@torch.no_grad()
def test_half_precision(intr, images, run_tool, tmp_path, monkeypatch):
    import openvino
    able = openvino_core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    _, path, model = intr
    inputs = padded_batch(1, 64, 96, False)[0]['inputs']
    expected = model(inputs)
    for dtype, name in (('bfloat16', 'BF16'), ('float16', 'FP16')):
        if name in able:
            session = Session(path, dtype=dtype)
            difference = (session(inputs)['logits'] - expected).abs().max()
            # another value than that of float32, and close to it
            assert 1e-5 < difference < .2 * expected.abs().max()
    monkeypatch.setattr(openvino.Core, 'get_property', lambda *_: 'an EPYC')
    with pytest.raises(ValueError, match='this processor .an EPYC. does not'):
        Session(path, dtype='bfloat16')
    with pytest.raises(SystemExit, match="dtype='float16' .*an EPYC"):
        run_tool('test.py', CONFIG, path, '--fast', 'float16', '--work-dir',
                 tmp_path, '--cfg-options',
                 f'test_dataloader.dataset.data_root={images}')


@needs_export
@needs_openvino
def test_signals_after_sessions_are_gone(intr):
    """In a process of its own, which a wrong stack for signals would end."""
    code = f"""
import signal
from intr_mm.deploy.session import Session
first, second = (Session({intr[1]!r}, 'openvino') for _ in range(2))
del first, second
signal.signal(signal.SIGCHLD, lambda *_: print('handled'))
signal.raise_signal(signal.SIGCHLD)"""
    done = subprocess.run([sys.executable, '-c', code],
                          capture_output=True,
                          text=True)
    assert done.returncode == 0 and 'handled' in done.stdout, done.stderr


@needs_export
@pytest.mark.parametrize(
    'engine',
    [ENGINES[0], pytest.param(ENGINES[1], marks=needs_openvino)])
def test_int8(evidence, engine, tmp_path):
    """The backbone is in int8, the head exact, and the file says so."""
    import onnx
    file, path = evidence[0], str(tmp_path / 'int8.onnx')
    draw = torch.Generator().manual_seed(0)
    images = [
        torch.randn(1, 3, *size, generator=draw)
        for size in ((64, 64), (48, 80), (70, 50), (61, 85))
    ]
    quantize_onnx(file, path, images)
    float32, int8 = (Session(name, engine) for name in (file, path))
    found = compare_sessions(int8, float32, images)
    assert found.num_samples == 4
    assert 1e-5 < found.typical < .4 * found.spread
    for image in images:
        outputs = int8(image)
        evidence_sum = outputs['evidence'].sum((2, 3, 4))
        assert_close(evidence_sum,
                     outputs['logits'].gather(1, outputs['classes']), **CLOSE)
    layers = [
        node for node in onnx.load(path).graph.node
        if node.op_type in ('Conv', 'MatMul', 'Gemm')
    ]
    in_int8 = ['DequantizeLinear' in node.input[1] for node in layers]
    of_backbone = [node.name.startswith('backbone/') for node in layers]
    spared = round(sum(of_backbone) / 5)
    assert spared > 0
    assert in_int8 == [False] * spared + of_backbone[spared:]
    with pytest.raises(ValueError, match='layers, of which 99 cannot stay'):
        quantize_onnx(file, path, images, float_layers=99)
    said = int8.metadata.pop('quantization')
    assert said['dtype'] == 'int8' and said['num_samples'] == 4
    assert int8.metadata == float32.metadata


@needs_export
def test_quantize_tool(intr, images, run_tool, tmp_path, capsys):
    _, path, _ = intr
    out = tmp_path / 'int8.onnx'
    options = [f'{key}={value}' for key, value in data_options(images).items()]

    def quantize(*args):
        run_tool('deployment/quantize.py', CONFIG, *args, '--num-samples', '9',
                 '--cfg-options', *options)

    quantize(path, out)
    printed = capsys.readouterr().out
    assert f'{out} is written' in printed and 'On 9 images' in printed
    photo = str(next(images.glob('val/*/*.jpg')))
    one, other = (
        INTRInferencer(str(file))(photo, maps='pred')[0]
        for file in (path, out))
    assert one['attention'].shape == other['attention'].shape
    assert one['pred_scores'] == pytest.approx(other['pred_scores'], abs=.1)
    with pytest.raises(SystemExit, match='in int8 already'):
        quantize(out, tmp_path / 'again.onnx')
    options.append('model.head.num_classes=4')
    with pytest.raises(SystemExit, match='tells 3 classes .*num_classes is 4'):
        quantize(path, tmp_path / 'again.onnx')
    assert not (tmp_path / 'again.onnx').exists()
    with pytest.raises(SystemExit, match='2'):
        quantize(path, path)
    assert f"'{path}' is what is read, which could" in capsys.readouterr().err


@needs_export
@pytest.mark.parametrize('pipeline', [
    [dict(type='os.system', command='touch harm')],
    [dict(type='Resize', scale=3, x=[dict(type='builtins.print')])],
])
def test_runs_no_code_of_a_file(intr, pipeline, tmp_path):
    import onnx
    proto = onnx.load(intr[1])
    for entry in proto.metadata_props:
        if entry.key == 'dataset':
            entry.value = json.dumps(dict(pipeline=pipeline, img_size=None))
    onnx.save(proto, str(tmp_path / 'harm.onnx'))
    with pytest.raises(ValueError, match='names the transform'):
        INTRInferencer(str(tmp_path / 'harm.onnx'))


@needs_export
def test_a_file_that_differs_is_not_written(monkeypatch, tmp_path):
    monkeypatch.setattr(onnx_export, '_to_onnx', lambda *_: b'')
    monkeypatch.setattr(onnx_export, 'Session', lambda *_: None)
    monkeypatch.setattr(onnx_export, 'compare', lambda *_: float('nan'))
    with pytest.raises(RuntimeError, match='not written'):
        export_onnx(tiny_model(), str(tmp_path / 'model.onnx'))
    assert not list(tmp_path.iterdir())


@needs_export
@pytest.mark.slow
@torch.no_grad()
def test_torch_export():

    class WithMaps(nn.Module):

        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, images):
            return self.model(images), self.model.get_attention(
                images, classes=[0, 2])

    model = WithMaps(tiny_model(std=5.))
    size = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        model, (torch.rand(2, 3, 64, 96), ),
        dynamic_shapes=({
            0: size,
            2: size,
            3: size
        }, ),
        strict=False).module()
    # PyTorch holds a program to sizes whose halves are odd or even as those it
    # was recorded with; a file of ONNX is not bound to them.
    images = torch.rand(3, 3, 340, 516)
    for found, expected in zip(program(images), model(images)):
        assert_close(found, expected, **CLOSE)


def test_refuses_old_pytorch(monkeypatch):
    monkeypatch.setattr(torch, '__version__', '2.1.2')
    with pytest.raises(RuntimeError, match='needs PyTorch 2.9 .* 2.1.2 is'):
        onnx_export.check_requirements()


@pytest.mark.parametrize('maps', ['gt', 0, 4])
def test_refuses_maps(maps):
    with pytest.raises(ValueError, match='maps='):
        onnx_export.ExportableClassifier(tiny_model(), maps)
