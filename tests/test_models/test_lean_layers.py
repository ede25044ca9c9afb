"""What a forward pass leaves out, or does in pieces, changes nothing."""
import pytest
import torch

from intr_mm.models import cpu_training
from intr_mm.models.cpu_training import Dropout, ReLUDropout, dropout
from intr_mm.models.transformer import (INTRTransformerDecoder,
                                        INTRTransformerEncoder, detr_layer_cfg)

ATTENTIONS = ('self_attn_cfg', 'cross_attn_cfg')


def decoder(dropout=0., **kwargs):
    torch.manual_seed(0)
    layers = INTRTransformerDecoder(
        2, detr_layer_cfg(16, 2, 32, dropout, ATTENTIONS), **kwargs)
    for parameter in layers.parameters():
        torch.nn.init.normal_(parameter, std=.3)
    return layers.double()


def inputs():
    torch.manual_seed(1)
    memory = torch.randn(3, 10, 16, requires_grad=True, dtype=torch.double)
    query_pos = torch.randn(7, 16, requires_grad=True, dtype=torch.double)
    mask = torch.zeros(3, 10, dtype=torch.bool)
    mask[0, 6:] = True
    return memory, query_pos, mask


def run(layers, query=None):
    """Output and gradients."""
    memory, query_pos, mask = inputs()
    torch.manual_seed(2)
    out, attending = layers(
        query, memory, query_pos.expand(3, -1, -1), mask, layers=(0, 1))
    (out * torch.arange(out.numel()).view_as(out)).sum().backward()
    return out, attending, memory.grad, query_pos.grad


def test_zeros_need_no_attention_among_them():
    layers = decoder().eval()
    expected = run(layers, torch.zeros(3, 7, 16).double())
    torch.testing.assert_close(run(layers), expected)
    layers.train()
    torch.testing.assert_close(run(layers), expected)


def keep_all(shape, p, generator, dtype):
    return torch.ones(shape, dtype=dtype)


@pytest.mark.parametrize('max_weights', [1, 15, 45, 10**6])
def test_weights_of_some_queries_at_a_time(monkeypatch, max_weights):
    """They and their gradients are those of fused attention."""
    expected = run(decoder().train())
    monkeypatch.setattr(cpu_training, 'MAX_WEIGHTS', max_weights)
    shapes = []
    monkeypatch.setattr(
        cpu_training, 'draw_keep',
        lambda shape, *args: shapes.append(shape) or keep_all(shape, *args))
    layers = decoder(dropout=1e-9).train()
    for module in layers.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    torch.testing.assert_close(run(layers), expected)
    sizes = {shape.numel() for shape in shapes}
    assert max(sizes) <= max(max_weights, 10)
    assert max_weights < 50 or max(sizes) == 2 * 7 * 10


@pytest.mark.slow
@pytest.mark.parametrize('max_weights', [1, 10, 10**6])
def test_attention_with_dropout_has_its_gradient(monkeypatch, max_weights):
    monkeypatch.setattr(cpu_training, 'MAX_WEIGHTS', max_weights)
    torch.manual_seed(0)
    tensors = [
        torch.randn(2, 2, length, 2, dtype=torch.double, requires_grad=True)
        for length in (3, 4, 4)
    ]
    for shape in ((2, 1, 1, 4), (2, 1, 3, 4), (3, 4)):
        visible = torch.rand(shape) > .3
        visible[..., 0] = True

        def attend(*tensors):
            torch.manual_seed(1)
            return cpu_training.attention(*tensors, visible, .4)

        assert torch.autograd.gradcheck(attend, tensors)
    attention = torch.nn.functional.scaled_dot_product_attention(
        *tensors, attn_mask=visible)
    assert (attend(*tensors) - attention).abs().max() > .1


def test_attention_drops_weights_evenly():
    """Each query and head sums up to the mean of the values."""
    query, key = torch.zeros(2, 3, 4, 70, 8)
    value = torch.ones(3, 4, 70, 8)
    torch.manual_seed(0)
    out = cpu_training.attention(query, key, value, None, .3)
    kept = out[..., 0] * 70 * .7
    torch.testing.assert_close(kept, kept.round())
    assert abs(kept.mean() / 70 - .7) < 5 * (.3 * .7 / (840 * 70))**.5
    assert .8 < kept.std() / (70 * .3 * .7)**.5 < 1.2


@pytest.mark.parametrize('p', [0., .1])
def test_half_precision_attends_in_float32(p):
    """On a CPU in training, within an autocast region or not."""
    torch.manual_seed(0)
    tensors = torch.randn(3, 2, 2, 50, 8).unbind()

    def attend(dtype, autocast):
        cast = [x.to(dtype, copy=True).requires_grad_() for x in tensors]
        torch.manual_seed(1)
        with torch.autocast('cpu', enabled=autocast):
            out = cpu_training.attention(*cast, None, p)
        assert out.dtype is dtype
        out.square().sum().backward()
        return [out.detach().float()] + [x.grad.float() for x in cast]

    expected = attend(torch.float32, False)
    for autocast in (True, False):
        for half, full in zip(attend(torch.bfloat16, autocast), expected):
            assert (half - full).norm() < .01 * full.norm()


def test_mask_of_places_in_pieces(monkeypatch):
    layer = decoder(dropout=1e-9).layers[0].self_attn
    torch.manual_seed(1)
    tokens = torch.randn(2, 9, 16).double()
    mask = torch.rand(9, 9) > .5
    padding = torch.zeros(2, 9, dtype=torch.bool)
    padding[1, 7:] = True
    masks = dict(attn_mask=mask, key_padding_mask=padding)
    expected = layer.eval()(tokens, **masks)
    monkeypatch.setattr(cpu_training, 'draw_keep', keep_all)
    for max_weights in (40, 2**20):
        monkeypatch.setattr(cpu_training, 'MAX_WEIGHTS', max_weights)
        layer.train()
        layer.dropout_layer.eval()
        torch.testing.assert_close(layer(tokens, **masks), expected)


@pytest.mark.parametrize('p', [.1, .5])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_dropout_keeps_the_mean(p, dtype):
    torch.manual_seed(0)
    x = torch.ones(1001, 333, dtype=dtype, requires_grad=True)
    out = dropout(x, p)
    assert out.dtype == dtype
    # five standard deviations
    share = (out == 0).float().mean()
    assert abs(share - p) < 5 * (p * (1 - p) / x.numel())**.5
    kept = out[out != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)))
    out.sum().backward()
    assert torch.equal(x.grad, out)
    # rows and columns alike
    for axis in (0, 1):
        shares = (out == 0).float().mean(axis)
        assert .8 < shares.std() / (p * (1 - p) / out.size(axis))**.5 < 1.2


@pytest.mark.parametrize('dtype', [torch.double, torch.bfloat16])
def test_clamping_and_dropping_at_once(dtype):
    together = ReLUDropout(torch.nn.ReLU(inplace=True), .3)
    torch.manual_seed(0)
    x, weights = torch.randn(2, 301, 7, dtype=dtype)

    def run(layer):
        leaf = x.clone().requires_grad_()
        torch.manual_seed(1)
        out = layer(leaf * 1)
        (out * weights).sum().backward()
        return out, leaf.grad

    torch.testing.assert_close(
        run(together), run(lambda x: dropout(x.relu(), .3)))
    together.eval()
    torch.testing.assert_close(run(together), run(torch.relu))


def test_dropout_of_layers_follows_the_seed():
    layers = decoder(dropout=.3).train()
    kinds = {
        type(module)
        for module in layers.modules() if isinstance(module, torch.nn.Dropout)
    }
    assert kinds == {Dropout, ReLUDropout}
    torch.testing.assert_close(run(layers), run(layers), rtol=0, atol=0)
    assert not torch.equal(run(layers)[0], run(layers.eval())[0])


@pytest.mark.parametrize('dropout', [0., .3])
def test_checkpointing_changes_no_gradient(dropout):
    expected = run(decoder(dropout).train())
    torch.testing.assert_close(
        run(decoder(dropout, with_cp=True).train()), expected)


def test_checkpointed_encoder_keeps_its_inputs_only():
    kept = []

    def encode(**kwargs):
        torch.manual_seed(0)
        layers = INTRTransformerEncoder(
            2, detr_layer_cfg(16, 2, 64, .1, ATTENTIONS[:1]), **kwargs)
        torch.manual_seed(1)
        tokens = torch.randn(2, 50, 16, requires_grad=True)
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(
                lambda tensor: kept.append(tensor.numel()) or tensor,
                lambda tensor: tensor):
            out = layers(tokens, torch.randn(2, 50, 16))
        out.square().sum().backward()
        return tokens.grad, sum(kept)

    grad, all_kept = encode()
    grad_cp, inputs_kept = encode(with_cp=True)
    torch.testing.assert_close(grad_cp, grad)
    assert inputs_kept < all_kept / 10
