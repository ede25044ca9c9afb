import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.utils import digit_version
from mmpretrain.registry import OPTIM_WRAPPERS
from torch import nn

from intr_mm.engine import FusedAdamW


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


@pytest.mark.parametrize('clip_grad', [None, dict(max_norm=.5)])
def test_steps_are_those_of_adamw(clip_grad):
    """In groups with learning rates of their own, as in the configs."""
    results = []
    for name in ('AdamW', 'FusedAdamW'):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(),
            torch.nn.Linear(36, 2))
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            wrapper = build_optim_wrapper(
                model,
                dict(
                    optimizer=dict(type=name, lr=.01, weight_decay=.1),
                    paramwise_cfg=dict(custom_keys={'0': dict(lr_mult=.1)}),
                    clip_grad=clip_grad))
        for _ in range(3):
            wrapper.update_params(model(torch.randn(2, 3, 5, 5)).pow(2).sum())
        results.append([*model.parameters()])
        groups = wrapper.optimizer.param_groups
        assert sorted({group['lr'] for group in groups}) == [.001, .01]
        is_fused = name == 'FusedAdamW' and digit_version(
            torch.__version__) >= digit_version('2.4')
        assert all(bool(group.get('fused')) is is_fused for group in groups)
    torch.testing.assert_close(*results)


def test_state_fits_adamw():
    """A run can be resumed with the other one."""
    parameter = torch.nn.Parameter(torch.ones(3))
    fused = FusedAdamW([parameter], lr=.1)
    parameter.sum().backward()
    fused.step()
    plain = torch.optim.AdamW([parameter], lr=.1)
    plain.load_state_dict(fused.state_dict())
    plain.step()
    assert plain.state[parameter]['step'] == 2
