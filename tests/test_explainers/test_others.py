"""Explainers that attention is compared to."""
import sys

import numpy as np
import pytest
import torch
from mmpretrain.registry import TASK_UTILS

from ..tiny import LARGER, tiny_batch, tiny_model

CLASSES = torch.tensor([3, 1])


@pytest.fixture
def model():
    return tiny_model(**LARGER)


def images_of(*sizes):
    return tiny_batch(*sizes)['inputs']


def explain(model, images, **cfg):
    explainer = TASK_UTILS.build(cfg)
    with torch.no_grad():
        return explainer(model, images, CLASSES)


@pytest.mark.parametrize('layer', [None, 'neck.input_proj'])
@pytest.mark.parametrize('frozen', [False, True])
@pytest.mark.parametrize('method', ['GradCAM', 'HiResCAM'])
def test_cam_is_that_of_its_paper(model, layer, frozen, method):
    model.backbone.requires_grad_(not frozen)
    images = images_of((128, 128), (128, 128))
    explained = explain(
        model,
        images,
        type='GradCAMExplainer',
        method=method,
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
    logits[[0, 1], CLASSES].sum().backward()
    weights = feature.grad
    if method == 'GradCAM':
        weights = weights.mean((2, 3), keepdim=True)
    expected = (weights * feature).sum(1).relu().detach().numpy()
    for cells, cam in zip(explained, expected):
        cam = (cam - cam.min()) / (cam.max() - cam.min() + 1e-7)
        np.testing.assert_allclose(cells.maps[0], cam, atol=1e-4)
        assert (cells.geometry.stride, cells.geometry.offset) == (16, 0)


def test_grad_cam_leaves_padding_out(model):
    small, _ = explain(
        model, images_of((128, 128), (128, 192)), type='GradCAMExplainer')
    assert small.maps.shape == (1, 8, 8) and small.img_shape == (128, 128)


def test_grad_cam_leaves_gathered_gradients_alone(model):
    model.backbone.conv1.weight.grad = torch.ones_like(
        model.backbone.conv1.weight)
    explain(model, images_of((128, 128), (128, 128)), type='GradCAMExplainer')
    assert (model.backbone.conv1.weight.grad == 1).all()
    assert model.head.presence_vector.weight.grad is None


def test_cam_of_another_method_is_refused():
    with pytest.raises(ValueError, match='ScoreCAM'):
        TASK_UTILS.build(dict(type='GradCAMExplainer', method='ScoreCAM'))


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
