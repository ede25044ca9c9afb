"""Every config builds, trains a step, predicts and returns attention."""
from pathlib import Path

import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS, TRANSFORMS
from mmpretrain.structures import DataSample

import intr_mm  # noqa: F401

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path.name for path in (ROOT / 'configs').glob('*.py'))


def load(name):
    cfg = Config.fromfile(ROOT / 'configs' / name)
    init_default_scope(cfg.default_scope)
    cfg.model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    cfg.model.backbone.pop('init_cfg', None)
    return cfg


@pytest.mark.parametrize('name', CONFIGS)
def test_config(name):
    torch.manual_seed(0)
    cfg = load(name)
    model = MODELS.build(cfg.model)
    # Transformer backbones fix the size; the others also take two at once.
    sizes = [(96, 128), (128, 64)]
    if cfg.model.backbone.type in ('SwinTransformer', 'VisionTransformer'):
        sizes = [(224, 224)] * 2
    data = dict(
        inputs=[torch.randint(0, 256, (3, *size)) for size in sizes],
        data_samples=[DataSample().set_gt_label(i) for i in range(2)])
    model.train()
    queries = model.head.query_embed.weight
    before = queries.clone()
    logs = model.train_step(data, build_optim_wrapper(model,
                                                      cfg.optim_wrapper))
    assert logs['loss'].isfinite()
    assert queries.isfinite().all() and (queries != before).any(1).all()

    model.eval()
    data = model.data_preprocessor(data)
    with torch.no_grad():
        results = model(**data, mode='predict')
        feats = model.extract_feat(data['inputs'])
        maps = model.head.get_attention(feats, classes=[0, 1])
    for result in results:
        assert result.pred_score.shape == (cfg.model.head.num_classes, )
        torch.testing.assert_close(result.pred_score.sum(), torch.tensor(1.))
    assert maps.shape[:2] == (2, 2)
    torch.testing.assert_close(maps.sum((-2, -1)), torch.ones(maps.shape[:3]))


def test_paper_recipe():
    """Learning rates and frozen parts of intr_cub.py are the paper's."""
    cfg = load('intr_cub.py')
    model = MODELS.build(cfg.model)
    optim = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    groups = {
        id(parameter): group
        for group in optim.param_groups
        for parameter in group['params']
    }
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        group = groups[id(parameter)]
        lr = 1e-5 if name.startswith('backbone') else 5e-5
        assert group['lr'] == pytest.approx(lr), name
        assert group['weight_decay'] == pytest.approx(1e-6), name
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {
        n
        for n, _ in model.backbone.named_parameters(prefix='backbone')
        if 'conv1' in n.split('.')[1] or 'layer1' in n or 'bn' in n
        or 'downsample.1' in n
    }
    model.train()
    assert not any(m.training for m in model.backbone.modules()
                   if isinstance(m, torch.nn.BatchNorm2d))


@pytest.mark.parametrize('shape', [(375, 500), (500, 375), (30, 400)])
def test_detr_augmentation(shape):
    """Training images get DETR's sizes, test images 800 or 1333 pixels."""
    cfg = load('intr_cub.py')
    train, test = (
        Compose([TRANSFORMS.build(t) for t in pipeline[1:]])
        for pipeline in (cfg.train_pipeline, cfg.test_pipeline))

    def run(pipeline):
        image = torch.zeros(*shape, 3, dtype=torch.uint8).numpy()
        results = pipeline(dict(img=image, img_shape=shape, ori_shape=shape))
        return results['inputs'].shape[1:]

    height, width = run(test)
    assert min(height, width) == 800 or max(height, width) == 1333
    assert height / width == pytest.approx(shape[0] / shape[1], rel=.01)
    for _ in range(10):
        size = sorted(run(train))
        assert size[0] in range(480, 801, 32) or size[1] == 1333
        assert size[1] <= 1333
