"""The evidence head: its maps add up to its scores."""
import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from torch.testing import assert_close

from intr_mm.engine.fast_inference import optimize_for_inference
from intr_mm.models import explain_batch
from ..tiny import LARGER, tiny_batch, tiny_model

SIZES = ((64, 96), (48, 64))


def evidence_cfg(**changes) -> dict:
    cfg = dict(
        type='EvidenceHead',
        num_classes=5,
        embed_dims=16,
        num_heads=2,
        null_logit=1.)
    return dict(cfg, **changes)


def evidence_model(seed=0, **changes):
    head = evidence_cfg(**changes)
    model = tiny_model(seed, head=dict(head, _delete_=True))
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=.7)
    return model


def prepared(model, *sizes, labels=(0, 1)):
    data = model.data_preprocessor(tiny_batch(*sizes, labels=labels))
    return data['inputs'], data['data_samples']


@pytest.mark.parametrize(
    'changes', [
        dict(),
        dict(values='paired'),
        dict(values='constant', reader_channels=8),
        dict(queries_per_class=3),
    ],
    ids=['signed', 'paired', 'constant', 'queries'])
def test_evidence_adds_up_to_logits(changes):
    model = evidence_model(**changes)
    data = prepared(model, *SIZES)
    with torch.no_grad():
        logits = model(*data)
        evidence = model.get_evidence(*data)
        assert evidence.shape == (2, 5, 2, 4, 6)
        assert_close(evidence.sum((2, 3, 4)), logits, rtol=0, atol=1e-4)
        margin = model.get_evidence(*data, classes=[1, 2], against=[3, 0])
        assert_close(
            margin.sum((2, 3, 4)),
            logits[:, [1, 2]] - logits[:, [3, 0]],
            rtol=0,
            atol=1e-4)
        contrast = model.get_evidence(*data, classes=[4], against='rest')
        others = logits[:, :4]
        mean = (others.softmax(1) * others).sum(1)
        assert_close(
            contrast.sum((2, 3, 4))[:, 0],
            logits[:, 4] - mean,
            rtol=0,
            atol=1e-4)
        # The second image ends after three rows and four columns.
        for maps in (evidence, margin, contrast):
            assert not maps[1, ..., 3:, :].any() and not maps[1, ..., 4:].any()
            assert maps[1].any()


def test_contrast_in_half_precision():
    model = evidence_model(values='paired')
    data = prepared(model, *SIZES)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        decoded = model.decode(*data, maps=True)
        logits = decoded.logits.float()
        contrast = model.head.evidence(
            decoded, torch.full((2, 1), 4), against='rest')
    others = logits[:, :4]
    mean = (others.softmax(1) * others).sum(1)
    assert_close(
        contrast.sum((2, 3, 4))[:, 0], logits[:, 4] - mean, rtol=0, atol=1e-4)


def test_an_only_class_has_no_rest():
    head = dict(
        type='EvidenceHead',
        num_classes=1,
        embed_dims=16,
        num_heads=2,
        _delete_=True)
    model = tiny_model(head=head)
    data = prepared(model, *SIZES)
    with torch.no_grad():
        assert_close(
            model.get_evidence(*data, against='rest'),
            model.get_evidence(*data))


def test_mixing_says_where_tokens_come_from():
    """Against the parts of each token, one by one."""
    model = evidence_model()
    inputs, samples = prepared(model, *SIZES)
    with torch.no_grad():
        _, mask, (shares, ) = model.extract(inputs, samples, mixing=True)
        x = model.neck.input_proj(model.backbone(inputs)[-1])
        position = model.neck.positional_encoding(mask, input=x)
        x, position = (of.flatten(2).transpose(1, 2) for of in (x, position))
        attention = model.neck.encoder.layers[0].self_attn.attn
        attention.in_proj_bias.data[-16:] = 0
        weights = model.neck.encoder.layers[0].self_attn.attention_weights(
            x + position, x + position, key_padding_mask=mask.flatten(1))
        values = x @ attention.in_proj_weight[-16:].T
        for image, token, cell in ((0, 7, 3), (0, 7, 7), (1, 2, 9)):
            parts = []
            for other in range(24):
                part = torch.zeros(16)
                for head in range(2):
                    rows = slice(8 * head, 8 * head + 8)
                    part += (
                        weights[image, head, token, other] *
                        attention.out_proj.weight[:, rows]
                        @ values[image, other, rows])
                parts.append(part + x[image, token] * (other == token))
            parts = torch.stack(parts)
            along = (parts @ parts.sum(0)).clamp(min=0)
            assert_close(shares[image, token, cell], along[cell] / along.sum())
    assert_close(shares.sum(-1), torch.ones(2, 24))
    assert not shares[1, :, mask[1].flatten()][~mask[1].flatten()].any()


def test_mixing_stays_in_the_window():
    model = evidence_model()
    model.neck.window_radius = 1
    with torch.no_grad():
        _, _, (shares, ) = model.extract(
            *prepared(model, (96, 96)), mixing=True)
    far = model.neck._outside_window(torch.zeros(1, 16, 6, 6))
    assert not shares[0][far].any() and shares[0][~far].any()


def test_contrast_in_chunks(monkeypatch):
    model = evidence_model()
    data = prepared(model, *SIZES)
    with torch.no_grad():
        whole = model.get_evidence(*data, against='rest')
        monkeypatch.setattr('intr_mm.models.evidence_head._CHUNK', 2)
        assert_close(model.get_evidence(*data, against='rest'), whole)


def test_padding_changes_nothing():
    model = evidence_model()
    model.neck.encoder = None  # which positions would tell of padding
    memory = torch.randn(1, 16, 3, 4)
    padded = torch.nn.functional.pad(memory, (0, 2, 0, 1), value=9.)
    mask = torch.nn.functional.pad(
        torch.zeros(1, 3, 4).bool(), (0, 2, 0, 1), value=True)
    with torch.no_grad():
        alone = model.head.decode(memory)
        batched = model.head.decode(padded, mask)
        assert_close(batched.logits, alone.logits)
        assert_close(
            model.head.maps(batched)[..., :3, :4], model.head.maps(alone))


def test_maps_sum_to_found_mass():
    model = evidence_model()
    _, decoded = explain_batch(model, tiny_batch(*SIZES)['inputs'])
    mass = model.head.maps(decoded).sum((-2, -1))
    assert (0 < mass).all() and (mass < 1).all()
    model.head.null.data.fill_(30)
    _, decoded = explain_batch(model, tiny_batch(*SIZES)['inputs'])
    assert model.head.maps(decoded).sum((-2, -1)).max() < 1e-3


def test_memory_shows_sizes_of_values():
    model = evidence_model()
    samples, decoded = explain_batch(
        model, tiny_batch((64, 96))['inputs'], classes=('pred', ), memory=True)
    values = model.head.value(decoded.memory.flatten(2).transpose(1, 2))
    assert_close(samples[0].memory[0, 1:].flatten(1), values[0].T.abs())


def test_even_attention_knows_nothing():
    model = evidence_model()
    samples, decoded = explain_batch(
        model, tiny_batch(*SIZES)['inputs'], classes=('pred', ))
    assert_close(
        model.head.rescore(decoded, model.head.maps(decoded)), decoded.logits)
    for sample in samples:
        assert_close(sample.attention_even, torch.full((5, ), .2))
        assert sample.attention_evidence.shape == sample.attention.shape[1:]


def test_auxiliary_shapes_the_tokens():
    """Gradients of the head's own loss end at its tokens."""
    own = evidence_model()
    assert _trains_neck(own)
    stopped = evidence_model(type='EvidenceReader', auxiliary=evidence_cfg())
    # without the auxiliary's loss nothing reaches the neck
    stopped.head.auxiliary.loss = lambda *args, **kwargs: {}
    assert not _trains_neck(stopped)
    assert _trains_neck(
        evidence_model(type='EvidenceReader', auxiliary=evidence_cfg()))


def _trains_neck(model) -> bool:
    losses = model.train().loss(*prepared(model, *SIZES))
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    return model.neck.input_proj.weight.grad is not None


@pytest.mark.parametrize('cutmix', [None, 1.])
def test_distill_learns_a_loaded_model(cutmix):
    """The head takes over the predictions of a trained linear one."""
    linear = dict(type='LinearClsHead', num_classes=5, in_channels=32)
    pooling = dict(type='GlobalAveragePooling')
    stock = tiny_model(
        type='ImageClassifier',
        neck=dict(pooling, _delete_=True),
        head=dict(linear, _delete_=True))
    torch.nn.init.normal_(stock.head.fc.weight, std=3.)
    head = evidence_cfg(
        type='EvidenceReader',
        in_channels=32,
        auxiliary=linear,
        auxiliary_neck=pooling,
        distill=True,
        cutmix=cutmix)
    model = tiny_model(
        neck=None, head=dict(head, _delete_=True), frozen=('backbone', ))
    data = prepared(model, *SIZES)
    with pytest.raises(RuntimeError, match='load_from'):
        model.loss(*data)
    with pytest.raises(ValueError, match='backbone.conv1.weight'):
        model.load_state_dict({}, strict=False)
    model.load_state_dict(stock.state_dict(), strict=False)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=.03)
    model.train()
    for _ in range(60):
        optimizer.zero_grad()
        model.loss(*data)['loss'].backward()
        optimizer.step()
    for sample in model.eval().predict(*data):
        assert sample.pred_label == sample.teacher_label
    learned = model.state_dict()
    for name, value in stock.state_dict().items():
        name = name.replace('head.', 'head.auxiliary.')
        assert torch.equal(learned[name], value), name


def test_pasted_cells_keep_their_padding():
    """What is pasted comes from one other image and the same place, and is
    padding where it was; the batch itself comes first."""
    np.random.seed(0)
    torch.manual_seed(0)
    reader = MODELS.build(
        evidence_cfg(
            type='EvidenceReader',
            auxiliary=evidence_cfg(),
            distill=True,
            cutmix=1.))
    maps = torch.arange(4.)[:, None, None, None].expand(-1, 3, 6, 7)
    padding = torch.zeros(4, 6, 7, dtype=torch.bool)
    padding[1, 4:] = padding[3, :, 5:] = True
    (both, ), mask = reader._with_pasted((maps, ), padding)
    assert_close(both[:4], maps)
    assert torch.equal(mask[:4], padding)
    origin = both[4:, 0].long()  # (4, 6, 7)
    rows, columns = torch.meshgrid(
        torch.arange(6), torch.arange(7), indexing='ij')
    assert torch.equal(mask[4:], padding[origin, rows, columns])
    own = torch.arange(4)[:, None, None]
    assert 0 < (origin != own).float().mean() < 1
    assert all(len(image.unique()) <= 2 for image in origin)
    (both, ), mask = reader._with_pasted((maps, ), None)
    assert both.shape == (8, 3, 6, 7) and mask is None


def sums_up(model):
    """Within one pass, as passes differ in low precision."""
    samples, decoded = explain_batch(
        model, tiny_batch(*SIZES)['inputs'], classes=range(5))
    assert decoded.mixing and decoded.logits.dtype is torch.float32
    for sample, logits in zip(samples, decoded.logits):
        assert_close(
            sample.attention_evidence.sum((1, 2, 3)),
            logits,
            rtol=0,
            atol=1e-4)
    return decoded.logits


def test_fast_copy_sums_in_float32():
    model = evidence_model()
    fast = optimize_for_inference(model)
    assert fast.head.key.weight.dtype is torch.float32
    assert_close(sums_up(fast), sums_up(model), rtol=.05, atol=.3)


def test_autocast():
    model = evidence_model()
    with torch.autocast('cpu', torch.bfloat16):
        sums_up(model)


@pytest.mark.parametrize('changes, words', [
    (dict(values='soft'), "values='soft'"),
    (dict(values='paired', num_heads=1), 'even num_heads'),
    (dict(num_heads=3), 'num_heads=3'),
    (dict(num_classes=0), 'num_classes >= 1'),
    (dict(num_classes=None), 'num_classes'),
    (dict(type='EvidenceReader', auxiliary=evidence_cfg(),
          cutmix=1.), 'distill=False and cutmix=1.0'),
])
def test_refuses(changes, words):
    with pytest.raises(ValueError, match=words):
        MODELS.build(evidence_cfg(**changes))


def test_refuses_layers_and_other_heads():
    model = evidence_model()
    data = prepared(model, *SIZES)
    with pytest.raises(IndexError, match='layer=1'):
        model.get_attention(*data, layer=1)
    with pytest.raises(TypeError, match='EvidenceHead'):
        tiny_model(**LARGER).get_evidence(*data)
    with pytest.raises(ValueError, match="'head'"):
        tiny_model(frozen=('head', ))
