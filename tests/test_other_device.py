"""What runs on a GPU, on a device that stands in for one."""
import json

import pytest
import torch
from mmengine.config import Config

from .other_device import DEVICE, other_device
from .tiny import (CONFIG, data_options, save_model, tiny_batch, tiny_cfg,
                   tiny_model)

# Another device draws other numbers for dropout.
PAPER = dict(neck__dropout=0, head__dropout=0, backbone__norm_eval=True)
QUERIES = dict(PAPER, head__queries_per_class=2, neck__window_radius=1)
MULTI = dict(PAPER, head__type='MultiLabelINTRHead')
EVIDENCE = dict(
    neck__dropout=0,
    backbone__norm_eval=True,
    head=dict(
        _delete_=True,
        type='EvidenceHead',
        num_classes=3,
        embed_dims=16,
        num_heads=2))
SIZES = [(48, 40), (33, 64), (48, 40)]


def batch(multi=False):
    data = tiny_batch(*SIZES, labels=(0, 1, 2))
    for sample in data['data_samples'] if multi else ():
        sample.set_gt_score(torch.tensor([1., 0., 1.]))
    return data


@pytest.fixture
def device():
    with other_device() as device:
        yield device


def test_the_device_demands_what_a_gpu_demands(device):
    x = torch.arange(3.).to(DEVICE)
    assert x.device == DEVICE and device.waits == []
    assert (x + 1).tolist() == [1, 2, 3]
    with pytest.raises(RuntimeError, match='add takes tensors of two'):
        x + torch.ones(3)
    with pytest.raises(TypeError, match='NumPy cannot read'):
        (x + 1).numpy()
    device.waits.clear()
    assert x.sum().item() == 3 and x[x > 0].shape == (2, )
    assert x.cpu().numpy().sum() == 3
    assert device.waits == ['_local_scalar_dense', 'index', '_to_copy']
    x[0] = 5
    assert x.tolist() == [5, 1, 2]
    weight = torch.nn.Parameter(torch.ones(3).to(DEVICE))
    (weight * x).sum().backward()
    assert weight.grad.tolist() == [5, 1, 2]


@pytest.mark.parametrize('pad_after_backbone', [False, True])
@pytest.mark.parametrize('changes', [PAPER, QUERIES, EVIDENCE, MULTI])
def test_training_waits_for_nothing(changes, pad_after_backbone):
    changes = dict(changes, pad_after_backbone=pad_after_backbone)
    multi = changes.get('head__type') == 'MultiLabelINTRHead'

    def step(model):
        model.train()
        data = model.data_preprocessor(batch(multi), training=True)
        losses = model(**data, mode='loss')
        sum(losses.values()).backward()
        return losses

    here, there = tiny_model(**changes), tiny_model(**changes)
    expected = step(here)
    with other_device() as device:
        there.to(DEVICE)
        device.waits.clear()
        losses = step(there)
        assert device.waits == []
        for name, loss in losses.items():
            torch.testing.assert_close(loss.cpu(), expected[name])
        for one, other in zip(here.parameters(), there.parameters()):
            if one.grad is not None:
                torch.testing.assert_close(
                    other.grad.cpu(), one.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('changes', [PAPER, QUERIES, EVIDENCE, MULTI])
def test_predictions_with_maps(changes):
    multi = changes.get('head__type') == 'MultiLabelINTRHead'
    request = dict(classes=['pred', 'gt', 1], even=True)

    def predict(model, **kwargs):
        data = model.data_preprocessor(batch(multi))
        with torch.no_grad():
            return model.predict(**data, **kwargs)

    model = tiny_model(std=5, pad_after_backbone=True, **changes)
    expected = predict(model, attention=request)
    with other_device() as device:
        model.to(DEVICE)
        device.waits.clear()
        predict(model)
        # how many classes an image shows has to be known
        assert device.waits == ['nonzero'] * len(SIZES) * multi
        device.waits.clear()
        samples = predict(model, attention=request)
        assert len(device.waits) <= 6
        for sample, other in zip(samples, expected):
            assert sample.keys() == other.keys()
            for name, value in other.items():
                torch.testing.assert_close(
                    sample.get(name).cpu(), value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('changes', [PAPER, EVIDENCE])
def test_tools_give_the_same_figures(changes, images, tmp_path, run_tool,
                                     monkeypatch):
    config = Config.fromfile(CONFIG)
    config.model = tiny_cfg(**changes)
    config.merge_from_dict(data_options(images))
    config.dump(tmp_path / 'config.py')
    model = tiny_model(std=5, **changes)
    arguments = (tmp_path / 'config.py',
                 save_model(model, tmp_path / 'model.pth'))

    def run(folder):
        run_tool('test.py', *arguments, '--fast', 'float32', '--out',
                 folder / 'test.json', '--work-dir', folder)
        run_tool('analysis_tools/evaluate_explanations.py', *arguments,
                 '--max-samples', 3, '--steps', 4, '--out', folder)
        run_tool('visualization/explain.py', *arguments, '--out', folder,
                 '--num', 2, '--report', folder / 'report.html',
                 '--deletion-images', 2)
        return [
            number for name in ('test.json', 'explanations.json')
            for number in numbers(json.loads((folder / name).read_text()))
        ]

    expected = run(tmp_path / 'here')
    monkeypatch.setattr('mmengine.device.utils.DEVICE', DEVICE.type)
    with other_device() as device:
        assert run(tmp_path / 'there') == pytest.approx(expected, abs=.2)
        assert device.waits


def numbers(tree):
    """All numbers of what JSON holds."""
    if isinstance(tree, dict | list):
        values = tree.values() if isinstance(tree, dict) else tree
        return [number for value in values for number in numbers(value)]
    return [tree] if isinstance(tree, int | float) else []
