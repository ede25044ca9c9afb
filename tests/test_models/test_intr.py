"""Properties that INTR has for any weights."""
import pytest
import torch

from intr_mm.models.attention import MultiheadAttention
from intr_mm.models.padding import make_padding_mask
from ..tiny import LARGER, tiny_batch, tiny_head, tiny_model

EXACT = dict(rtol=0, atol=1e-5)
# Neither contains the other: on stride 16, grids of 3x2 and 2x4 cells.
SIZES = (48, 32), (32, 64)


def build(**changes):
    return tiny_model(**{**LARGER, **changes})


def prepare(model, *sizes, **kwargs):
    return model.data_preprocessor(tiny_batch(*sizes, **kwargs))


@torch.no_grad()
def run(model, data):
    return model(**data), model.get_attention(**data)


@pytest.mark.parametrize('neck_layers', [0, 1])
def test_batched_and_alone_agree(neck_layers):
    model = build(neck__num_layers=neck_layers)
    batch = tiny_batch((48, 32), (48, 32))
    logits, maps = run(model, model.data_preprocessor(batch))
    for i, image in enumerate(batch['inputs']):
        alone, map_alone = run(model,
                               model.data_preprocessor(dict(inputs=[image])))
        torch.testing.assert_close(logits[i:i + 1], alone, **EXACT)
        torch.testing.assert_close(maps[i:i + 1], map_alone, **EXACT)


@torch.no_grad()
def test_masked_cells_change_nothing():
    """What stands behind the backbone in masked cells is never seen."""
    model = build()
    data = prepare(model, *SIZES)
    feats, = model.backbone(data['inputs'])
    mask = make_padding_mask(data['data_samples'], feats)
    assert mask.any() and not mask.all()

    def head(feats):
        memory = model.neck((feats, ), padding_mask=mask)
        return (model.head(memory, padding_mask=mask),
                model.head.get_attention(memory, padding_mask=mask))

    other = feats + 100 * torch.randn_like(feats) * mask[:, None]
    logits, maps = head(feats)
    other_logits, other_maps = head(other)
    torch.testing.assert_close(other_logits, logits, rtol=0, atol=0)
    torch.testing.assert_close(other_maps, maps, rtol=0, atol=0)


def test_maps_are_distributions_over_valid_cells():
    model = build()
    _, maps = run(model, prepare(model, *SIZES))
    assert maps.shape == (2, 5, 2, 3, 4)
    torch.testing.assert_close(maps.sum((-2, -1)), torch.ones(2, 5, 2))
    assert (maps[0, ..., :, 2:] == 0).all() and (maps[1, ..., 2:, :]
                                                 == 0).all()
    assert (maps[0, ..., :, :2] > 0).all() and (maps[1, ..., :2, :] > 0).all()


@torch.no_grad()
def test_permuting_classes_permutes_logits():
    model = build()
    data = prepare(model, (64, 64))
    logits, maps = run(model, data)
    order = torch.tensor([3, 1, 4, 0, 2])
    weight = model.head.query_embed.weight
    weight.copy_(weight[order])
    permuted, permuted_maps = run(model, data)
    torch.testing.assert_close(permuted, logits[:, order], **EXACT)
    torch.testing.assert_close(permuted_maps, maps[:, order], **EXACT)


@torch.no_grad()
@pytest.mark.parametrize('layer', [0, -1])
def test_attention_of_asked_classes(layer):
    model = build()
    data = prepare(model, (64, 64), (64, 32))
    every = model.get_attention(**data, layer=layer)
    some = model.get_attention(**data, classes=[4, 1], layer=layer)
    torch.testing.assert_close(some, every[:, [4, 1]])
    own = torch.tensor([[2], [0]])
    torch.testing.assert_close(
        model.get_attention(**data, classes=own, layer=layer),
        torch.stack([every[0, [2]], every[1, [0]]]))


def test_attention_refuses_bad_requests():
    model = build()
    data = prepare(model, (64, 64))
    with pytest.raises(IndexError, match='Class 5 .* 5'):
        model.get_attention(**data, classes=[5])
    with pytest.raises(IndexError, match='layer=2'):
        model.get_attention(**data, layer=2)
    with pytest.raises(ValueError, match='indices'):
        model.get_attention(**data, classes=torch.zeros(3, 2))


@torch.no_grad()
def test_attention_is_that_of_pytorch():
    """Output and weights are those of ``nn.MultiheadAttention``."""
    torch.manual_seed(0)
    attn = MultiheadAttention(16, 4, batch_first=True).eval()
    query, key = torch.randn(2, 3, 16), torch.randn(2, 7, 16)
    mask = torch.zeros(2, 7, dtype=torch.bool)
    mask[1, 5:] = True
    q, k = query.transpose(0, 1), key.transpose(0, 1)
    out, expected = attn.attn(
        q, k, k, key_padding_mask=mask, average_attn_weights=False)
    weights = attn.attention_weights(query, key, key_padding_mask=mask)
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(
        attn(query, key, key_padding_mask=mask), query + out.transpose(0, 1))


def test_plain_runs_compute_no_weights(monkeypatch):
    """Training and prediction go through PyTorch's fused attention."""

    def never(*args, **kwargs):
        raise AssertionError('attention weights were computed')

    fused = torch.nn.functional.scaled_dot_product_attention
    calls = []

    def count(*args, **kwargs):
        calls.append(1)
        return fused(*args, **kwargs)

    monkeypatch.setattr(MultiheadAttention, 'attention_weights', never)
    monkeypatch.setattr(torch.nn.functional, 'scaled_dot_product_attention',
                        count)
    model = build()
    data = prepare(model, (64, 64), (64, 32), labels=(0, 1))
    model(**data, mode='predict')
    # one encoder layer, two decoder layers of two, the first of which has
    # queries of zeros to look at
    assert len(calls) == 4
    # with dropout, CPUs have no fused kernel
    for module in model.modules():
        if isinstance(module, MultiheadAttention):
            module.attn.dropout = 0.
    model.train()
    model(**data, mode='loss')['loss'].backward()
    assert len(calls) == 9


def test_predict_attaches_asked_attention():
    attention = dict(classes=('gt', 'top2'), layer=0)
    model = build(test_cfg=dict(attention=attention))
    data = prepare(model, *SIZES, labels=(3, 0))
    with torch.no_grad():
        results = model(**data, mode='predict')
        every = model.get_attention(**data, layer=0)
    for i, (result, (h, w)) in enumerate(zip(results, [(3, 2), (2, 4)])):
        top2 = result.pred_score.topk(2).indices
        expected = torch.cat([result.gt_label, top2])
        assert result.attention_classes.tolist() == expected.tolist()
        torch.testing.assert_close(result.attention,
                                   every[i, expected][..., :h, :w])


def test_a_request_of_a_base_config_can_be_taken_back():
    model = build(test_cfg=dict(attention=None))
    result, = model(**prepare(model, SIZES[0]), mode='predict')
    assert 'attention' not in result and 'pred_score' in result


def test_the_true_class_is_passed_over_where_none_is_known():
    for asked, found in ((('gt', ), None), (('gt', 2), [2])):
        model = build(test_cfg=dict(attention=dict(classes=asked)))
        result, = model(**prepare(model, SIZES[0]), mode='predict')
        assert 'pred_score' in result
        assert ('attention' in result) == (found is not None)
        if found:
            assert result.attention_classes.tolist() == found


@pytest.mark.parametrize('loss', [
    dict(type='CrossEntropyLoss'),
    dict(type='LabelSmoothLoss', label_smooth_val=.1, mode='original'),
])
def test_losses(loss):
    model = build(head__loss=loss)
    data = prepare(model, (64, 64), (64, 32), labels=(0, 1))
    expected = torch.nn.functional.cross_entropy(
        model(**data),
        torch.tensor([0, 1]),
        label_smoothing=loss.get('label_smooth_val', 0))
    torch.testing.assert_close(model(**data, mode='loss')['loss'], expected)


def test_mixup_makes_soft_labels():
    model = build(
        head__loss=dict(type='CrossEntropyLoss', use_soft=True),
        train_cfg=dict(augments=dict(type='Mixup', alpha=1.)),
        data_preprocessor__num_classes=5,
        data_preprocessor__to_onehot=True)
    data = model.data_preprocessor(
        tiny_batch((64, 64), (64, 64), labels=(0, 1)), training=True)
    assert data['data_samples'][0].gt_score.sum() == 1
    loss = model(**data, mode='loss')['loss']
    scores = torch.stack([s.gt_score for s in data['data_samples']])
    expected = -(scores * model(**data).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(loss, expected)
    with pytest.raises(ValueError, match='one size'):
        model.data_preprocessor(
            tiny_batch((64, 64), (64, 32), labels=(0, 1)), training=True)


def test_head_projects_in_the_stock_classifier():
    """The head alone, on a bare backbone, inside ``ImageClassifier``."""
    model = build(type='ImageClassifier', neck=None, head__in_channels=32)
    x = torch.randn(2, 3, 64, 64)
    model.train()
    samples = tiny_batch((64, 64), (64, 64), labels=(0, 1))['data_samples']
    model(x, samples, mode='loss')['loss'].backward()
    assert model.head.input_proj.weight.grad.abs().sum() > 0
    maps = model.head.get_attention(model.extract_feat(x), classes=[1])
    assert maps.shape == (2, 1, 2, 4, 4)


@pytest.mark.parametrize('in_channels, facts', [
    (64, 'in_channels=32 on INTRHead'),
    (None, '16 channels .* 32'),
])
def test_wrong_channels(in_channels, facts):
    model = build(neck=None, head__in_channels=in_channels)
    with pytest.raises(ValueError, match=facts):
        model(torch.randn(1, 3, 64, 64))


def test_pooled_features_are_refused():
    model = build(
        type='ImageClassifier',
        neck=dict(type='GlobalAveragePooling', _delete_=True),
        head__in_channels=32)
    with pytest.raises(ValueError, match='pooling neck'):
        model(torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize('changes, facts', [
    (dict(num_classes=0), 'num_classes .* 0'),
    (dict(num_classes=None), 'num_classes'),
    (dict(num_layers=0), 'num_layers .* 0'),
    (dict(queries_per_class=0), 'queries_per_class .* 0'),
    (dict(embed_dims=18, num_heads=4), '18.*4'),
])
def test_bad_head_arguments(changes, facts):
    with pytest.raises(ValueError, match=facts):
        tiny_head(**changes)


@pytest.mark.parametrize('base_channels, laid', [(8, False), (16, True)])
def test_narrow_backbones_are_not_channels_last(base_channels, laid):
    """Training them so lets PyTorch corrupt memory."""
    model = tiny_model(
        backbone__base_channels=base_channels,
        neck__in_channels=4 * base_channels)
    weight = model.backbone.layer1[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) == laid
