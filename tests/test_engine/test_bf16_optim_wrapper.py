import torch
from mmengine.model import BaseModel
from mmpretrain.registry import OPTIM_WRAPPERS
from torch import nn


class Regression(BaseModel):
    """Records the type in which its linear layer computes."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 1)

    def forward(self, inputs, mode):
        out = self.linear(inputs)
        self.dtype = out.dtype
        return dict(loss=(out.float() - 1).square().mean())


def losses(wrapper):
    torch.manual_seed(0)
    model = Regression()
    optimizer = torch.optim.SGD(model.parameters(), lr=.05)
    optim_wrapper = OPTIM_WRAPPERS.build(
        dict(type=wrapper, optimizer=optimizer, clip_grad=dict(max_norm=10.)))
    data = dict(inputs=torch.randn(16, 8))
    logs = [model.train_step(data, optim_wrapper) for _ in range(20)]
    assert model.linear.weight.dtype == torch.float32
    return torch.tensor([log['loss'] for log in logs]), model.dtype


def test_trains_in_bfloat16_as_in_float32():
    expected, dtype = losses('OptimWrapper')
    assert dtype == torch.float32
    ours, dtype = losses('BFloat16OptimWrapper')
    assert dtype == torch.bfloat16
    assert expected[-1] < expected[0] / 2
    torch.testing.assert_close(ours, expected, rtol=.05, atol=.01)
    assert not torch.equal(ours, expected)
