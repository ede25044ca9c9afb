import pytest
import torch
from mmengine.hooks import Hook

from ..tiny import build_runner


class Spoiler(Hook):
    """Set a weight to NaN in the last iteration of the second epoch."""

    def __init__(self, stage):
        setattr(self, stage, self.spoil)

    def spoil(self, runner, **kwargs):
        if runner.iter == 9:
            runner.model.head.presence_vector.weight.data.fill_(float('nan'))


def train_spoilt(images, work_dir, stage):
    runner = build_runner(images, work_dir)
    runner.register_hook(Spoiler(stage), priority='VERY_HIGH')
    with pytest.raises(FloatingPointError) as error:
        runner.train()
    assert not (work_dir / 'epoch_2.pth').exists()
    last = str(work_dir / 'epoch_1.pth')
    assert (work_dir / 'last_checkpoint').read_text() == last
    for weight in torch.load(last, weights_only=False)['state_dict'].values():
        assert torch.isfinite(weight).all()
    message = str(error.value)
    assert f"go on from '{last}' with --resume" in message
    return message


def test_loss_that_is_not_finite(images, tmp_path):
    message = train_spoilt(images, tmp_path, 'before_train_iter')
    assert message.startswith('Loss is nan in iteration 10 (epoch 2) for the '
                              f'images {images}/train/class_')
    # the last batch of 18 images by fours
    assert message.count('.jpg') == 2


def test_weights_spoilt_behind_a_finite_loss(images, tmp_path):
    message = train_spoilt(images, tmp_path, 'after_train_iter')
    assert message.startswith("Weight 'head.presence_vector.weight' is not "
                              'finite')
