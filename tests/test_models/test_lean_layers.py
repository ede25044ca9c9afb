"""What a forward pass leaves out, or does in pieces, changes nothing."""
import pytest
import torch

from intr_mm.models.layers import (INTRTransformerDecoder,
                                   INTRTransformerEncoder, attention,
                                   detr_layer_cfg)

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
    out, attending = layers(query, memory, query_pos.expand(3, -1, -1), mask)
    (out * torch.arange(out.numel()).view_as(out)).sum().backward()
    return out, attending, memory.grad, query_pos.grad


def test_zeros_need_no_attention_among_them():
    layers = decoder().eval()
    expected = run(layers, torch.zeros(3, 7, 16).double())
    torch.testing.assert_close(run(layers), expected)
    layers.train()
    torch.testing.assert_close(run(layers), expected)


@pytest.mark.parametrize('max_weights', [1, 45, 200])
def test_weights_of_some_queries_at_a_time(monkeypatch, max_weights):
    # as good as none, but the path of dropout
    layers = decoder(dropout=1e-9).train()
    expected = run(layers)
    monkeypatch.setattr(attention, 'MAX_WEIGHTS', max_weights)
    fused = torch.nn.functional.scaled_dot_product_attention
    rows = []

    def count(query, key, *args, **kwargs):
        rows.append(query.shape[:3].numel() * key.size(2))
        return fused(query, key, *args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, 'scaled_dot_product_attention',
                        count)
    torch.testing.assert_close(run(layers), expected)
    assert max(rows) <= max(max_weights, 3 * 2 * 10) < 3 * 2 * 7 * 7


def test_pieces_drop_out(monkeypatch):
    monkeypatch.setattr(attention, 'MAX_WEIGHTS', 60)
    layers = decoder(dropout=.5)
    one, other = run(layers.train()), run(layers.eval())
    assert (one[0] - other[0]).abs().max() > .1
    # the backward pass repeats what the forward pass drew
    torch.testing.assert_close(run(layers.train()), one)


def test_mask_of_places_in_pieces(monkeypatch):
    layer = decoder(dropout=1e-9).layers[0].self_attn.train()
    torch.manual_seed(1)
    tokens = torch.randn(2, 9, 16).double()
    mask = torch.rand(9, 9) > .5
    padding = torch.zeros(2, 9, dtype=torch.bool)
    padding[1, 7:] = True
    expected = layer(tokens, attn_mask=mask, key_padding_mask=padding)
    monkeypatch.setattr(attention, 'MAX_WEIGHTS', 80)
    torch.testing.assert_close(
        layer(tokens, attn_mask=mask, key_padding_mask=padding), expected)


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
