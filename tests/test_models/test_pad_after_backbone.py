"""What a model says of an image depends on no other of its batch."""
import numpy as np
import pytest
import torch
from mmpretrain.registry import TRANSFORMS
from torch.testing import assert_close

from intr_mm.explainers import GradCAMExplainer
from intr_mm.models import explain_batch
from ..tiny import LARGER, tiny_batch, tiny_model
from .test_evidence_head import evidence_cfg

SIZES = ((64, 96), (50, 70), (33, 131))
EVIDENCE = dict(head=dict(evidence_cfg(), _delete_=True))
MODELS = pytest.mark.parametrize(
    'changes', [
        dict(LARGER),
        EVIDENCE,
        dict(LARGER, data_preprocessor=dict(pad_size_divisor=32)),
    ],
    ids=['intr', 'evidence', 'divisor'])


@MODELS
def test_each_image_as_if_alone(changes):
    model = tiny_model(pad_after_backbone=True, **changes)
    batch = tiny_batch(*SIZES, labels=(0, 1, 2))
    together, _ = explain_batch(model, **batch, classes=['top2', 'gt'])
    losses = model.loss(
        **model.data_preprocessor(tiny_batch(*SIZES, labels=(0, 1, 2))))
    each = []
    for image, sample, both in zip(batch['inputs'], batch['data_samples'],
                                   together):
        fresh = sample.new()
        (alone, ), _ = explain_batch(
            model, [image], [fresh], classes=['top2', 'gt'])
        assert_close(both.pred_score, alone.pred_score, rtol=0, atol=1e-5)
        assert both.attention.shape == alone.attention.shape
        assert_close(both.attention, alone.attention, rtol=0, atol=1e-5)
        if 'attention_evidence' in alone:
            assert_close(
                both.attention_evidence,
                alone.attention_evidence,
                rtol=0,
                atol=1e-5)
        assert both.geometry == alone.geometry
        data = model.data_preprocessor(
            dict(inputs=[image], data_samples=[fresh]))
        each.append(model.loss(**data)['loss'])
    assert_close(losses['loss'], sum(each) / 3)


def test_padding_before_it_makes_images_depend_on_others():
    """What the test above would find."""
    model = tiny_model(**LARGER)
    images = tiny_batch(*SIZES)['inputs']
    together, _ = explain_batch(model, images)
    (alone, ), _ = explain_batch(model, images[1:2])
    assert (together[1].pred_score - alone.pred_score).abs().max() > 1e-4


@pytest.mark.parametrize('layer', [None, 'backbone.layer1'])
def test_grad_cam_of_each_image_alone(layer):
    model = tiny_model(pad_after_backbone=True, frozen=('backbone', ))
    images = tiny_batch(*SIZES)['inputs']
    explainer = GradCAMExplainer('HiResCAM', target_layer=layer)
    classes = torch.tensor([0, 1, 2])
    for i, explained in enumerate(explainer(model, images, classes)):
        alone, = explainer(model, images[i:i + 1], classes[i:i + 1])
        assert explained.maps.any()
        np.testing.assert_array_equal(explained.maps, alone.maps)
        assert explained.geometry == alone.geometry


def test_refuses_batch_statistics():
    model = tiny_model(pad_after_backbone=True).train()
    data = model.data_preprocessor(tiny_batch(*SIZES, labels=(0, 1, 2)))
    with pytest.raises(ValueError, match='norm_eval=True'):
        model.loss(**data)


def test_refuses_other_necks():
    with pytest.raises(ValueError, match='GlobalAveragePooling'):
        tiny_model(
            pad_after_backbone=True,
            neck=dict(type='GlobalAveragePooling', _delete_=True))


@pytest.fixture
def cached(tmp_path):

    def build(**changes):
        return tiny_model(
            pad_after_backbone=True,
            frozen=('backbone', ),
            feature_cache=str(tmp_path / 'features'),
            **changes)

    return build


def files(tmp_path):
    return sorted(tmp_path.rglob('*.npy'))


def predict(model):
    data = model.data_preprocessor(tiny_batch(*SIZES))
    with torch.no_grad():
        samples = model.predict(**data)
    return torch.stack([sample.pred_score for sample in samples])


def test_cache_computes_once(cached, tmp_path, monkeypatch):
    model = cached()
    first = predict(model)
    assert len(files(tmp_path)) == 3
    plain = tiny_model(pad_after_backbone=True)
    assert_close(first, predict(plain), rtol=0, atol=1e-3)  # of float16

    again = cached(backbone__init_cfg=dict(type='Kaiming', layer='Conv2d'))
    again.load_state_dict(model.state_dict())
    monkeypatch.setattr(again.backbone, 'forward', None)
    assert torch.equal(predict(again), first)
    # in training too, in whatever precision
    data = again.data_preprocessor(tiny_batch(*SIZES, labels=(0, 1, 2)), True)
    with torch.autocast('cpu', torch.bfloat16):
        again.train().loss(**data)['loss'].backward()
    assert len(files(tmp_path)) == 3


def test_cells_are_placed_without_the_backbone(cached, tmp_path):
    model = cached()
    images = tiny_batch(*SIZES)['inputs']
    expected, _ = explain_batch(model, images, classes=['pred'])
    assert not files(tmp_path)
    predict(model)
    found, _ = explain_batch(model, images, classes=['pred'])
    for sample, other in zip(found, expected):
        assert sample.geometry == other.geometry
        assert torch.equal(sample.attention, other.attention)


def test_cache_keeps_weights_apart(cached, tmp_path):
    model = cached()
    first = predict(model)
    other = cached(seed=1)
    assert not torch.equal(predict(other), first)
    other.load_state_dict(model.state_dict())
    assert torch.equal(predict(other), first)
    assert len(files(tmp_path)) == 6
    with torch.no_grad():
        next(other.backbone.parameters()).mul_(2)
    assert not torch.equal(predict(other), first)


def test_cache_computes_damaged_maps_anew(cached, tmp_path):
    first = predict(cached())
    for path, content in zip(files(tmp_path), (b'', b'no array', None)):
        path.write_bytes(path.read_bytes()[:-7] if content is
                         None else content)
    assert torch.equal(predict(cached()), first)


def test_cache_keeps_what_overflows_float16(cached):
    model = cached()
    torch.nn.init.constant_(list(model.backbone.parameters())[-1], 1e6)
    assert predict(model).isfinite().all()
    assert torch.equal(predict(model), predict(model))


def test_cache_takes_in_no_perturbed_images(cached, tmp_path):
    model = cached()
    model(*model.data_preprocessor(tiny_batch(*SIZES)).values())
    explain_batch(model, tiny_batch(*SIZES)['inputs'], classes=['pred'])
    assert not files(tmp_path)


@pytest.mark.parametrize('changes', [
    dict(frozen=('backbone', )),
    dict(pad_after_backbone=True),
])
def test_cache_needs_a_frozen_backbone(changes, tmp_path):
    with pytest.raises(ValueError, match=r"frozen=\('backbone', \)"):
        tiny_model(feature_cache=str(tmp_path), **changes)


def test_fixed_views():
    views = TRANSFORMS.build(
        dict(
            type='FixedViews',
            views=3,
            transforms=[
                dict(type='RandomResizedCrop', scale=8),
                dict(type='RandomFlip', prob=.5),
            ]))
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)

    def draw(path, times=20):
        return [
            views(dict(img=image.copy(), img_path=path))['img'].tobytes()
            for _ in range(times)
        ]

    np.random.seed(0)
    assert len(set(draw('a.jpg'))) == 3
    assert set(draw('a.jpg')) == set(draw('a.jpg'))
    assert not set(draw('a.jpg')) & set(draw('b.jpg'))
    # random numbers go on as if nothing had been
    np.random.seed(1)
    draw('a.jpg', 2)
    after = np.random.rand()
    np.random.seed(1)
    np.random.randint(3, size=2)
    assert np.random.rand() == after
    with pytest.raises(KeyError, match='img_path'):
        views(dict(img=image))
    with pytest.raises(ValueError, match='views >= 1'):
        type(views)([], views=0)
