import pytest
import torch
from mmengine.hooks import Hook

from ..tiny import build_runner


class Recorder(Hook):
    """Keep the first image of each epoch and what dropout would draw."""

    def __init__(self):
        self.batches = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 0:
            state = torch.get_rng_state()
            drawn = torch.rand(4)
            torch.set_rng_state(state)
            self.batches[runner.epoch] = (data_batch['inputs'][0], drawn)


def run(images, work_dir, hook, **options):
    """Train with a hook that watches."""
    runner = build_runner(
        images,
        work_dir,
        val_dataloader=None,
        val_evaluator=None,
        val_cfg=None,
        **options)
    runner.register_hook(hook)
    runner.train()
    return runner


def batches(images, work_dir, **options):
    recorder = Recorder()
    run(images, work_dir, recorder, **options)
    return recorder.batches


@pytest.mark.slow
def test_resumed_epochs_repeat_and_epochs_differ(images, tmp_path):
    loader = dict(train_dataloader__num_workers=2)
    unbroken = batches(
        images,
        tmp_path / 'unbroken',
        train_dataloader__persistent_workers=True,
        **loader)
    resumed = batches(
        images,
        tmp_path / 'resumed',
        load_from=str(tmp_path / 'unbroken' / 'epoch_1.pth'),
        resume=True,
        **loader)
    assert sorted(unbroken) == [0, 1, 2] and sorted(resumed) == [1, 2]
    for epoch in resumed:
        for mine, other in zip(resumed[epoch], unbroken[epoch]):
            assert torch.equal(mine, other)
    for part in range(2):
        assert not torch.equal(unbroken[0][part], unbroken[1][part])


def test_another_seed_gives_other_batches(images, tmp_path):
    options = dict(train_cfg__max_epochs=1)
    one = batches(images, tmp_path / 'one', **options)
    two = batches(images, tmp_path / 'two', randomness__seed=1, **options)
    for mine, other in zip(one[0], two[0]):
        assert not torch.equal(mine, other)


def train(images, work_dir, **options):
    """Weights after training, numbers of iterations whose gradients make a
    step, and what is logged."""
    counted = StepCounter()
    runner = run(images, work_dir, counted, **options)
    log, = work_dir.glob('*/*.log')
    return runner.model.state_dict(), counted.steps, log.read_text()


class StepCounter(Hook):

    def __init__(self):
        self.steps = []

    def before_train(self, runner):
        start = runner.iter

        def count(*_):
            done = runner.iter - start + 1
            self.steps.append(done - sum(self.steps))

        runner.optim_wrapper.optimizer.register_step_post_hook(count)


def test_no_gradient_is_carried_into_the_next_epoch(images, tmp_path):
    options = dict(optim_wrapper__accumulative_counts=3)
    weights, steps, _ = train(images, tmp_path / 'unbroken', **options)
    assert steps == [3, 2] * 3
    resumed, steps, log = train(
        images,
        tmp_path / 'resumed',
        load_from=str(tmp_path / 'unbroken' / 'epoch_1.pth'),
        resume=True,
        **options)
    assert steps == [3, 2] * 2
    assert 'Resumed iteration' not in log
    for name, weight in weights.items():
        assert torch.equal(weight, resumed[name]), name


def test_loops_by_iteration_count_on(images, tmp_path):
    _, steps, _ = train(
        images,
        tmp_path,
        train_cfg=dict(_delete_=True, by_epoch=False, max_iters=7),
        param_scheduler=[],
        optim_wrapper__accumulative_counts=3)
    assert steps == [3, 3, 1]
