"""INTRInferencer, and the tools on it, take weights that fit, or none."""
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain import get_model

from intr_mm.apis import INTRInferencer
from ..tiny import CONFIG, save_model, tiny_model


def without(name):
    return lambda weights: weights.pop(name)


def replaced(name, make):
    return lambda weights: weights.update({name: make(weights[name])})


QUERIES = 'head.query_embed.weight'
MISFITS = dict(
    missing=(without('head.presence_vector.bias'), 'Missing key.*presence'),
    missing_backbone=(without('backbone.layer1.0.conv1.weight'),
                      'Missing key.*backbone'),
    unexpected=(lambda weights: weights.update({'head.x': torch.ones(1)}),
                'Unexpected key.*head.x'),
    classes=(replaced(QUERIES, lambda t: t[:2]), 'size mismatch for head'),
    integers=(replaced(QUERIES, lambda t: t.long()), 'in torch.int64 where'),
    bytes_=(replaced(QUERIES, lambda t: t.byte()), 'in torch.uint8 where'),
    nan=(replaced(QUERIES, lambda t: t * np.nan), 'not finite'),
    infinite=(replaced(QUERIES, lambda t: t / 0), 'not finite'),
    complex=(replaced(QUERIES, lambda t: t + 0j), 'torch.complex64'),
    array=(replaced(QUERIES, lambda t: t.numpy()), 'ndarray and no tensor'),
    other=(lambda weights: (weights.clear(), weights.update(fc=torch.ones(1))),
           'shares no weight'),
    nothing=(lambda weights: weights.clear(), 'shares no weight'),
)


def write(path, change=lambda weights: None, classes=('a', 'b', 'c')):
    weights = tiny_model().state_dict()
    change(weights)
    meta = dict(dataset_meta=dict(classes=classes))
    torch.save(dict(state_dict=weights, meta=meta), path)
    return str(path)


@pytest.mark.parametrize('built', [False, True])
@pytest.mark.parametrize('kind', MISFITS)
def test_misfit_is_refused(kind, built, tmp_path):
    change, problem = MISFITS[kind]
    path = write(tmp_path / 'x.pth', change)
    model = get_model(CONFIG) if built else CONFIG
    with pytest.raises((ValueError, RuntimeError), match=problem) as error:
        INTRInferencer(model, path)
    message = str(error.value)
    assert path in message and '\n' not in message and len(message) < 500


@pytest.mark.parametrize('classes, problem', [
    (['a', 'b'], 'was trained on 2 classes .*num_classes is 3'),
    (list('abcd'), 'was trained on 4 classes'),
    ([1, 2, 3], 'no text'),
    ('abc', 'no list of texts'),
])
def test_class_names_that_do_not_fit(classes, problem, tmp_path):
    path = write(tmp_path / 'x.pth', classes=classes)
    with pytest.raises((ValueError, RuntimeError), match=problem):
        INTRInferencer(CONFIG, path)


@pytest.mark.parametrize('pretrained', [True, None])
def test_model_without_weights_is_refused(pretrained):
    with pytest.raises(ValueError, match='tiny_intr.py.*`pretrained`'):
        INTRInferencer(CONFIG, pretrained)


def test_weights_that_the_config_names(tmp_path):
    cfg = Config.fromfile(CONFIG)
    cfg.load_from = write(tmp_path / 'x.pth')
    cfg.model.head.num_classes = None
    inferencer = INTRInferencer(cfg)
    assert inferencer.classes == ['a', 'b', 'c']
    expected = tiny_model().state_dict()
    for name, tensor in inferencer.model.state_dict().items():
        assert torch.equal(tensor, expected[name])
    url_mapping = ('^nowhere', str(tmp_path))
    cfg.load_from = 'nowhere/x.pth'
    assert INTRInferencer(cfg, url_mapping=url_mapping).classes


def test_random_weights_only_on_demand(tmp_path):
    assert INTRInferencer(CONFIG, False).classes is None
    path = tmp_path / 'x.pth'
    save_model(tiny_model(), path)
    assert INTRInferencer(CONFIG, path).classes is None  # a pathlib.Path
