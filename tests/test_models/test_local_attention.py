"""The encoder whose tokens see a window of cells only."""
import pytest
import torch
from torch import nn

from ..tiny import tiny_model


def encoder(window_radius=None):
    return tiny_model(neck__window_radius=window_radius).neck


@pytest.fixture
def feat():
    torch.manual_seed(1)
    return torch.randn(2, 32, 5, 6)


def test_window_of_the_whole_image_is_the_default(feat):
    whole, = encoder(window_radius=5)((feat, ))
    default, = encoder()((feat, ))
    torch.testing.assert_close(whole, default)


@pytest.mark.parametrize('radius', [0, 1, 2])
def test_token_sees_its_window_only(feat, radius):
    feat.requires_grad_()
    memory, = encoder(window_radius=radius)((feat, ))
    memory[:, 0, 2, 3].sum().backward()
    seen = feat.grad.abs().sum((0, 1)) > 0
    window = torch.zeros(5, 6, dtype=torch.bool)
    window[2 - radius:3 + radius, 3 - radius:4 + radius] = True
    assert torch.equal(seen, window)


def test_equals_torch_attention_under_a_mask(feat):
    neck = encoder(window_radius=1)
    layer = neck.encoder.layers[0]
    peer = nn.MultiheadAttention(16, 2, batch_first=True).eval()
    peer.load_state_dict(layer.self_attn.attn.state_dict())
    tokens = torch.randn(2, 30, 16)
    row, column = torch.arange(30) // 6, torch.arange(30) % 6
    outside = ((row[:, None] - row).abs()
               > 1) | ((column[:, None] - column).abs() > 1)
    out = layer.self_attn(tokens, attn_mask=outside)
    expected, _ = peer(tokens, tokens, tokens, attn_mask=outside)
    torch.testing.assert_close(out, tokens + expected)


def test_padding_changes_nothing_and_is_finite(feat):
    neck = encoder(window_radius=1)
    alone, = neck((feat[:1], ))
    padded = nn.functional.pad(feat[:1], (0, 4, 0, 3))
    mask = torch.ones(1, 8, 10, dtype=torch.bool)
    mask[:, :5, :6] = False
    memory, = neck((padded, ), padding_mask=mask)
    assert memory.isfinite().all()
    torch.testing.assert_close(memory[..., :5, :6], alone)


def test_negative_radius():
    with pytest.raises(ValueError, match='window_radius=-1'):
        encoder(window_radius=-1)
