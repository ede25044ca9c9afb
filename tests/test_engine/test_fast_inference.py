"""The faster copy of a model predicts what the model does."""
import shutil
from functools import partial

import pytest
import torch
from torch import nn

from intr_mm.engine import FastInferenceHook, optimize_for_inference
from intr_mm.engine.dynamic_pooling import replace_max_pooling
from intr_mm.models import explain_batch
from ..tiny import build_runner, tiny_batch, tiny_model


def build(classifier='INTRClassifier'):
    changes = dict(head__num_layers=2)
    if classifier == 'ImageClassifier':
        changes.update(type=classifier, neck=None, head__in_channels=32)
    model = tiny_model(**changes)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for value in (norm.running_var, norm.weight.data):
                value.uniform_(.8, 1.2)
            norm.running_mean.normal_(0, .1)
    return model


@torch.no_grad()
def logits(model, *size):
    torch.manual_seed(1)
    return model(torch.randn(*size))


def test_norms_behind_an_activation_stay():
    """mmcv would fold them into the convolution before it."""
    model = tiny_model(
        type='ImageClassifier',
        backbone=dict(
            type='ConvMixer',
            arch=dict(embed_dims=32, depth=1, patch_size=7, kernel_size=3),
            _delete_=True),
        neck=dict(type='GlobalAveragePooling', _delete_=True),
        head=dict(
            type='LinearClsHead', num_classes=3, in_channels=32,
            _delete_=True))
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_()
            norm.running_var.uniform_(.5, 2)
    images = torch.randn(2, 3, 64, 64)
    fast = optimize_for_inference(model, 'float32')
    with torch.no_grad():
        torch.testing.assert_close(
            fast.backbone(images)[0],
            model.backbone(images)[0])


@pytest.mark.parametrize('classifier', ['INTRClassifier', 'ImageClassifier'])
@pytest.mark.parametrize('dtype, tolerance', [('float32', 1e-5),
                                              ('bfloat16', 5e-2)])
def test_copy_predicts_the_same(classifier, dtype, tolerance):
    model = build(classifier)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    expected = logits(model, 3, 3, 64, 96)
    fast = optimize_for_inference(model, dtype)
    found = logits(fast, 3, 3, 64, 96)
    assert found.dtype == torch.float32
    torch.testing.assert_close(
        found, expected, rtol=0, atol=tolerance * expected.abs().max())
    assert type(fast) is type(model) and not fast.training
    norms = [
        module for module in fast.backbone.modules()
        if isinstance(module, nn.BatchNorm2d)
    ]
    assert norms == []
    weight = fast.backbone.layer1[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert str(weight.dtype) == f'torch.{dtype}'
    assert fast.head.decoder.layers[0].norms[0].weight.dtype == weight.dtype
    # the original is as it was
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    torch.testing.assert_close(
        logits(model, 3, 3, 64, 96), expected, rtol=0, atol=0)


def test_attention_of_the_copy():
    model = build()
    images = torch.randn(2, 3, 64, 96)
    expected = model.get_attention(images, classes=[0, 2])
    found = optimize_for_inference(model).get_attention(images, classes=[0, 2])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.sum((-2, -1)), torch.ones(2, 2, 2))
    torch.testing.assert_close(found, expected, rtol=.1, atol=1e-3)


def test_norms_that_do_more_are_kept():

    class NormAct(nn.BatchNorm2d):

        def forward(self, x):
            return super().forward(x).relu()

    model = build('ImageClassifier')
    norm = NormAct(8)
    model.backbone.bn1 = norm.eval()
    expected = logits(model, 2, 3, 64, 64)
    fast = optimize_for_inference(model, 'float32')
    torch.testing.assert_close(
        logits(fast, 2, 3, 64, 64), expected, rtol=1e-4, atol=1e-5)


def test_after_training_with_folded_norms():
    """mmengine puts another forward pass in the backbone's place."""
    from mmengine.model.efficient_conv_bn_eval import \
        turn_on_efficient_conv_bn_eval
    model = build()
    expected = logits(model, 1, 3, 64, 64)
    turn_on_efficient_conv_bn_eval(model, ['backbone'])
    torch.testing.assert_close(
        logits(optimize_for_inference(model, 'float32'), 1, 3, 64, 64),
        expected,
        rtol=1e-4,
        atol=1e-5)


def test_unknown_type():
    with pytest.raises(ValueError, match="dtype='int8'"):
        optimize_for_inference(build(), 'int8')


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.skipif(
    shutil.which('g++') is None, reason='a CPU needs g++ to compile for')
def test_compiled_for_images_of_any_size():
    from torch._inductor import config
    torch._dynamo.reset()
    model = build('ImageClassifier')
    # less to compile
    model.backbone.layer2 = nn.Identity()
    model.backbone.layer3 = nn.Conv2d(8, 32, 1)
    # which the copy sets for the process
    with config.patch(freezing=False):
        fast = optimize_for_inference(model, 'float32', compile=True)
        for size in ((2, 3, 64, 96), (2, 3, 80, 64), (3, 3, 96, 96)):
            torch.testing.assert_close(
                logits(fast, *size),
                logits(model, *size),
                rtol=1e-4,
                atol=1e-4)
    torch._dynamo.reset()


@pytest.mark.skipif(
    not hasattr(torch.library, 'custom_op'), reason='needs PyTorch 2.4')
@torch.no_grad()
def test_one_graph_for_images_of_all_sizes(monkeypatch):
    """Of any parity, in batches of several sizes."""
    from torch._inductor import config
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph

    monkeypatch.setattr(torch, 'compile',
                        partial(torch.compile, backend=backend))
    torch._dynamo.reset()
    model = build()
    model.pad_after_backbone = True
    with config.patch(freezing=False):
        fast = optimize_for_inference(model, 'float32', compile=True)
    for height in (60, 61, 62, 63, 160):
        data = model.data_preprocessor(
            tiny_batch((height, 80), (83, height), (height + 1, 82),
                       labels=(0, 0, 0)))
        torch.testing.assert_close(
            fast(**data), model(**data), rtol=1e-4, atol=1e-5)
    assert len(graphs) == 1
    torch._dynamo.reset()


@pytest.mark.parametrize('arguments', [
    dict(kernel_size=3, stride=2, padding=1),
    dict(kernel_size=(2, 3), ceil_mode=True),
    dict(kernel_size=2, stride=(1, 2), padding=(1, 0)),
])
def test_max_pooling_is_the_same(arguments):
    pooling = nn.Sequential(nn.MaxPool2d(**arguments))
    images = torch.randn(2, 3, 7, 10).to(memory_format=torch.channels_last)
    expected = pooling(images)
    replace_max_pooling(pooling)
    found = pooling(images)
    assert torch.equal(found, expected)
    assert found.stride() == expected.stride()


def test_hook_lends_the_copy_to_the_test(images, tmp_path, monkeypatch):
    tests = []
    for hooks in ([], [dict(type='FastInferenceHook')]):
        runner = build_runner(images, tmp_path, custom_hooks=hooks)
        model = runner.model
        types, scores = set(), []

        def note(data_batch, data_samples):
            types.add(runner.model.backbone.conv1.weight.dtype)
            scores.extend(sample['pred_score'] for sample in data_samples)

        metric = runner.test_loop.evaluator.metrics[0]
        monkeypatch.setattr(metric, 'process', note)
        monkeypatch.setattr(metric, 'evaluate', lambda size: {})
        runner.test()
        assert runner.model is model
        tests.append((types, torch.stack(scores)))
    (types, scores), (fast_types, fast_scores) = tests
    assert types == {torch.float32} and fast_types == {torch.bfloat16}
    torch.testing.assert_close(fast_scores, scores, rtol=0, atol=.02)


def test_hook_runs_after_the_metrics_got_the_model(images, tmp_path):
    runner = build_runner(
        images, tmp_path, custom_hooks=[dict(type='FastInferenceHook')])
    names = [type(hook).__name__ for hook in runner.hooks]
    assert names.index('FastInferenceHook') > names.index('PrepareMetricsHook')
    assert isinstance(runner.hooks[names.index('FastInferenceHook')],
                      FastInferenceHook)


def test_metrics_that_ask_the_model_agree(images, tmp_path):
    """They keep the original, which the loop leaves in training mode."""
    explainer = dict(type='AttentionExplainer')
    evaluator = [
        dict(type='EvenAttention'),
        dict(type='InsertionDeletion', explainer=explainer, steps=2),
        dict(type='RegionBlanking', explainer=explainer),
    ]
    tests = []
    for hooks in ([], [dict(type='FastInferenceHook', dtype='float32')]):
        runner = build_runner(
            images,
            tmp_path,
            custom_hooks=[dict(type='PrepareMetricsHook'), *hooks],
            test_evaluator=evaluator)
        runner.model.load_state_dict(build().state_dict(), strict=False)
        runner.model.train()
        tests.append(runner.test())
    assert tests[1] == pytest.approx(tests[0], rel=1e-4, nan_ok=True)


def test_explains_in_eval_mode_alone():
    with pytest.raises(ValueError, match='training mode'):
        explain_batch(build().train(), [torch.zeros(3, 64, 64)])
