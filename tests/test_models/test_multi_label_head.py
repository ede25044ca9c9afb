"""Several classes, or none, are decided each for itself."""
import pytest
import torch
from mmpretrain.evaluation import AveragePrecision
from mmpretrain.models.losses import AsymmetricLoss
from mmpretrain.structures import DataSample

from intr_mm.models import explain_batch
from ..tiny import LARGER, tiny_batch, tiny_head, tiny_model

SIZES = (48, 32), (32, 64)
LABELS = ([1, 3], [])


def build(**changes):
    return tiny_model(
        std=5., **{
            **LARGER, 'head__type': 'MultiLabelINTRHead',
            **changes
        })


def batch(labels=LABELS):
    data = tiny_batch(*SIZES)
    data['data_samples'] = [DataSample().set_gt_label(one) for one in labels]
    return data


def set_logits(model, *logits):
    """Let the classes have these logits, of all images."""
    decode = model.head.decode

    def fixed(*args, **kwargs):
        decoded = decode(*args, **kwargs)
        decoded.logits = torch.tensor(logits).expand_as(decoded.logits)
        return decoded

    model.head.decode = fixed


@torch.no_grad()
def test_logits_and_maps_are_those_of_intr():
    model, single = build(), tiny_model(std=5., seed=1, **LARGER)
    assert list(model.state_dict()) == list(single.state_dict())
    single.load_state_dict(model.state_dict())
    data = model.data_preprocessor(batch())
    torch.testing.assert_close(model(**data), single(**data), rtol=0, atol=0)
    torch.testing.assert_close(
        model.get_attention(**data),
        single.get_attention(**data),
        rtol=0,
        atol=0)


@pytest.mark.parametrize('decision, expected', [
    (dict(), [0, 3]),
    (dict(thr=.9), [3]),
    (dict(thr=.999), []),
    (dict(topk=1), [3]),
    (dict(topk=3), [3, 0, 1]),
    (dict(thr=.9, topk=3), [3]),
])
def test_decision(decision, expected):
    model = build(**{f'head__{k}': v for k, v in decision.items()})
    set_logits(model, 1., -.1, -2., 4., -3.)
    for sample in model(**model.data_preprocessor(batch()), mode='predict'):
        assert sample.pred_label.tolist() == expected
        assert sample.multi_label
        torch.testing.assert_close(
            sample.pred_score,
            torch.tensor([1., -.1, -2., 4., -3.]).sigmoid())


@pytest.mark.parametrize('loss', [
    dict(type='AsymmetricLoss'),
    dict(type='CrossEntropyLoss', use_sigmoid=True),
])
def test_losses(loss):
    model = build(head__loss=loss)
    data = model.data_preprocessor(batch())
    target = torch.zeros(2, 5)
    target[0, [1, 3]] = 1
    logits = model(**data)
    if loss['type'] == 'AsymmetricLoss':
        expected = AsymmetricLoss()(logits, target, avg_factor=2)
    else:
        expected = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, target, reduction='sum') / 2
    found = model(**data, mode='loss')['loss']
    torch.testing.assert_close(found, expected)
    found.backward()
    assert model.head.query_embed.weight.grad.abs().sum(1).gt(0).all()
    # scores say the same, as of images that are mixed
    for sample, row in zip(data['data_samples'], target):
        sample.set_gt_score(row)
    torch.testing.assert_close(model(**data, mode='loss')['loss'], expected)


def test_asymmetric_loss_is_the_default():
    head = tiny_head(type='MultiLabelINTRHead')
    assert isinstance(head.loss_module, AsymmetricLoss)
    assert (head.thr, head.topk) == (.5, None)


def test_low_precision_loses_no_loss():
    """In half precision, sure scores would round to 1 and lose the loss."""
    head = tiny_head(
        type='MultiLabelINTRHead',
        loss=dict(type='CrossEntropyLoss', use_sigmoid=True))
    logits = torch.tensor([[10., 9., -10.]])
    samples = [DataSample().set_gt_label([2])]
    exact = head._get_loss(logits, samples)['loss']
    half = head._get_loss(logits.bfloat16(), samples)['loss']
    torch.testing.assert_close(half, exact)


@torch.no_grad()
@pytest.mark.parametrize(
    'classes, asked',
    [
        (('pred', ), ([0, 3], [0, 3])),
        (('gt', ), ([1, 3], [3])),  # the best one where there is none
        (('gt', 'pred'), ([1, 3, 0, 3], [0, 3])),
        (('gt', 'top1', 2), ([1, 3, 3, 2], [3, 2])),
    ])
def test_maps_of_every_class_that_is_present(classes, asked):
    request = dict(classes=classes, layer=(0, -1), even=True)
    model = build(test_cfg=dict(attention=request))
    data = model.data_preprocessor(batch())
    every = torch.stack([model.get_attention(**data, layer=i) for i in (0, 1)],
                        1)
    set_logits(model, 1., -.1, -2., 4., -3.)
    found = model(**data, mode='predict')
    for i, (sample, expected,
            (h, w)) in enumerate(zip(found, asked, [(3, 2), (2, 4)])):
        assert sample.attention_classes.tolist() == expected
        torch.testing.assert_close(sample.attention, every[i][:, expected,
                                                              ..., :h, :w])
        assert ((0 < sample.attention_even) &
                (sample.attention_even < 1)).all()
    explained, _ = explain_batch(model, **batch(), classes=classes)
    assert [s.attention_classes.tolist() for s in explained] == list(asked)


def test_metrics_of_mmpretrain():
    model = build()
    metric = AveragePrecision()
    samples = model(
        **model.data_preprocessor(batch(([1, 3], [0]))), mode='predict')
    metric.process(None, [sample.to_dict() for sample in samples])
    assert 0 < metric.evaluate(2)['multi-label/mAP'] <= 100


@pytest.mark.parametrize('changes, facts', [
    (dict(thr=1.5), 'thr from 0 to 1, got 1.5'),
    (dict(thr='high'), "thr from 0 to 1, got 'high'"),
    (dict(topk=0), 'topk from 1 to num_classes=3, got 0'),
    (dict(topk=4), 'topk from 1 to num_classes=3, got 4'),
])
def test_bad_arguments(changes, facts):
    with pytest.raises(ValueError, match=facts):
        tiny_head(type='MultiLabelINTRHead', **changes)
