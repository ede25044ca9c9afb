"""Explainers that attention is compared to."""
import sys

import numpy as np
import pytest
import torch
from mmpretrain.registry import TASK_UTILS

from ..tiny import LARGER, tiny_batch, tiny_model

CLASSES = torch.tensor([3, 1])


def sharp_model(**changes):
    model = tiny_model(std=8, **changes)
    # Maps of margins that all but vanish are rounding.
    model.head.presence_vector.weight.data.mul_(20)
    return model


@pytest.fixture
def model():
    return sharp_model(**LARGER)


def images_of(*sizes):
    return tiny_batch(*sizes)['inputs']


def explain(model, images, **cfg):
    explainer = TASK_UTILS.build(cfg)
    with torch.no_grad():
        return explainer(model, images, CLASSES)


@pytest.mark.parametrize('layer', [None, 'neck.input_proj'])
@pytest.mark.parametrize('frozen', [False, True])
@pytest.mark.parametrize('method, base', [('GradCAM', 'GradCAM'),
                                          ('HiResCAM', 'GradCAM'),
                                          ('FinerCAM', 'GradCAM'),
                                          ('FinerCAM', 'HiResCAM')])
def test_cam_is_that_of_its_paper(model, layer, frozen, method, base):
    model.backbone.requires_grad_(not frozen)
    images = images_of((128, 128), (128, 128))
    explained = explain(
        model,
        images,
        type='GradCAMExplainer',
        method=method,
        base=base,
        target_layer=layer)
    assert all(p.grad is None for p in model.parameters())
    assert model.backbone.conv1.weight.requires_grad != frozen

    inputs = model.data_preprocessor(dict(inputs=images))['inputs']
    feature = model.neck.input_proj(model.backbone(inputs)[-1]).detach()
    feature.requires_grad_()
    tokens = feature.flatten(2).transpose(1, 2)
    pos = model.neck.positional_encoding(None, input=feature)
    memory = model.neck.encoder(
        query=tokens,
        query_pos=pos.flatten(2).transpose(1, 2),
        key_padding_mask=None)
    logits = model.head((memory.transpose(1, 2).view_as(feature), ))
    own = logits[[0, 1], CLASSES]
    if method == 'FinerCAM':
        # the three of the five classes whose logits are nearest, weighted by
        # the softmax
        furthest = (logits - own[:, None]).abs().argmax(1)
        share = logits.softmax(1)
        share = share.scatter(1, torch.stack((CLASSES, furthest), 1), 0)
        share = share / share.sum(1, keepdim=True)
        own = own - (share * logits).sum(1)
    own.sum().backward()
    weights = feature.grad
    if 'GradCAM' in (method, base) and method != 'HiResCAM':
        weights = weights.mean((2, 3), keepdim=True)
    expected = (weights * feature).sum(1).relu().detach().numpy()
    for cells, cam in zip(explained, expected):
        cam = (cam - cam.min()) / (cam.max() - cam.min() + 1e-7)
        np.testing.assert_allclose(cells.maps[0], cam, atol=1e-4)
        assert (cells.geometry.stride, cells.geometry.offset) == (16, 0)


@pytest.mark.parametrize('method', ['GradCAM', 'FinerCAM'])
def test_grad_cam_leaves_padding_out(model, method):
    small, large = explain(
        model,
        images_of((128, 128), (128, 192)),
        type='GradCAMExplainer',
        method=method)
    assert small.maps.shape == (1, 8, 8) and small.img_shape == (128, 128)
    assert large.maps.shape == (1, 8, 12) and large.maps.max() > .9


def test_finer_cam_compares_with_the_unlikely_too(model):
    """However far the class leads, the map is the same."""
    images = images_of((128, 128), (128, 128))
    maps = []
    for lead in (10, 40):
        ahead = torch.zeros(2, 5).scatter(1, CLASSES[:, None], lead)
        hook = model.register_forward_hook(
            lambda module, args, logits, ahead=ahead: logits + ahead)
        explained = explain(
            model,
            images,
            type='GradCAMExplainer',
            method='FinerCAM',
            base='HiResCAM')
        maps.append([cells.maps for cells in explained])
        hook.remove()
    np.testing.assert_allclose(*maps, atol=1e-4)
    assert np.max(maps) > .9


def test_finer_cam_of_two_classes():
    """There is one other to compare with."""
    model = sharp_model(head__num_classes=2)
    images = images_of((128, 128), (128, 128))
    explainer = TASK_UTILS.build(
        dict(type='GradCAMExplainer', method='FinerCAM', base='HiResCAM'))
    with torch.no_grad():
        maps = [c.maps for c in explainer(model, images, torch.tensor([0, 1]))]
    assert all(of_image.max() > .9 for of_image in maps)


def test_grad_cam_leaves_gathered_gradients_alone(model):
    model.backbone.conv1.weight.grad = torch.ones_like(
        model.backbone.conv1.weight)
    explain(model, images_of((128, 128), (128, 128)), type='GradCAMExplainer')
    assert (model.backbone.conv1.weight.grad == 1).all()
    assert model.head.presence_vector.weight.grad is None


def test_cam_of_another_method_is_refused():
    with pytest.raises(ValueError, match='ScoreCAM'):
        TASK_UTILS.build(dict(type='GradCAMExplainer', method='ScoreCAM'))
    with pytest.raises(ValueError, match='base=.FinerCAM'):
        TASK_UTILS.build(dict(type='GradCAMExplainer', base='FinerCAM'))


def test_grad_cam_names_its_package(model, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pytorch_grad_cam', None)
    with pytest.raises(ImportError, match='pip install grad-cam'):
        explain(
            model, images_of((128, 128), (128, 128)), type='GradCAMExplainer')


def test_grad_cam_names_a_missing_layer(model):
    with pytest.raises(ValueError, match='backbone.layer9'):
        explain(
            model,
            images_of((128, 128), (128, 128)),
            type='GradCAMExplainer',
            target_layer='backbone.layer9')


def test_chance_depends_on_the_image_alone(model):
    one, other = images_of((128, 128), (128, 128))
    first, second = explain(model, [one, other], type='RandomExplainer')
    _, again = explain(model, [other, one], type='RandomExplainer')
    np.testing.assert_array_equal(first.maps, again.maps)
    assert abs(first.maps - second.maps).max() > .1
    seeded, _ = explain(model, [one, other], type='RandomExplainer', seed=1)
    assert abs(first.maps - seeded.maps).max() > .1


def brightness(model, images, classes):
    return [image.mean(0) for image in images]


def test_any_function_explains(model):
    images = images_of((128, 128), (128, 192))
    name = f'{__name__}.brightness'
    for function in (brightness, name):
        explained = explain(
            model, images, type='FunctionExplainer', function=function)
        for cells, image in zip(explained, images):
            np.testing.assert_allclose(cells.maps[0], image.mean(0))
            assert cells.img_shape == tuple(image.shape[-2:])


def test_function_of_the_wrong_size(model):
    with pytest.raises(ValueError, match=r'\(2, 2\) .* \(128, 128'):
        explain(
            model,
            images_of((128, 128), (128, 128)),
            type='FunctionExplainer',
            function=lambda *_: torch.ones(2, 2, 2))
