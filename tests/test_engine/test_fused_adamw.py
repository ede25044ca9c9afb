import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.utils import digit_version

from intr_mm.engine import FusedAdamW


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
