import pytest
import torch
from mmpretrain.registry import MODELS
from torchvision.models import resnet50


@pytest.mark.parametrize('dc5', [False, True])
@torch.no_grad()
def test_equals_torchvision(dc5):
    """Same weights, same features, dilated or not."""
    torch.manual_seed(0)
    reference = resnet50(replace_stride_with_dilation=[False, False, dc5])
    cfg = dict(type='TorchvisionResNet', depth=50)
    if dc5:
        cfg.update(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2))
    model = MODELS.build(cfg)
    missing = model.load_state_dict(reference.state_dict(), strict=False)
    assert missing.missing_keys == []
    assert missing.unexpected_keys == ['fc.weight', 'fc.bias']
    model.eval()
    reference.eval()
    x = torch.randn(1, 3, 64, 96)
    expected = torch.nn.Sequential(*list(reference.children())[:-2])(x)
    torch.testing.assert_close(model(x)[-1], expected)
    assert expected.shape[-2:] == ((4, 6) if dc5 else (2, 3))
