"""Every config builds, trains a step, predicts and returns attention."""
import re
from pathlib import Path

import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.model.efficient_conv_bn_eval import \
    turn_on_efficient_conv_bn_eval
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.datasets import CustomDataset
from mmpretrain.models.utils import resize_pos_embed
from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS
from mmpretrain.structures import DataSample

import intr_mm  # noqa: F401

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path.name for path in (ROOT / 'configs').glob('*.py'))
# The model of intr_cub.py on other data.
SAME_MODEL = [
    name for name in CONFIGS
    if name.endswith('_folder.py') or name[5:-3] in ('bird', 'butterfly',
                                                     'car', 'craft', 'dog',
                                                     'fish', 'folder', 'pet')
]


def load(name):
    cfg = Config.fromfile(ROOT / 'configs' / name)
    init_default_scope(cfg.default_scope)
    cfg.model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    cfg.model.backbone.pop('init_cfg', None)
    # timm's own way to fetch weights
    cfg.model.backbone.pop('pretrained', None)
    cfg.model.pop('feature_cache', None)
    cfg.optim_wrapper.pop('accumulative_counts', None)
    return cfg


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(
            name,
            # A smaller model of the kind is built without them.
            marks=[pytest.mark.slow]
            if re.search('base|r101|in1k', name) else [])
        for name in CONFIGS if name not in SAME_MODEL
    ])
def test_config(name):
    torch.manual_seed(0)
    cfg = load(name)
    if cfg.model.head.num_classes is None:
        cfg.model.head.num_classes = 5
    model = MODELS.build(cfg.model)
    # Swin has no smaller map than its window, and statistics of a batch need
    # images of one size; the others take any two.
    sizes = [(64, 96), (96, 64)]
    if 'demo' in name or 'timm' in name:
        sizes = [(64, 96)] * 2
    if cfg.model.backbone.type == 'SwinTransformer':
        sizes = [(224, 224)] * 2
    data = dict(
        inputs=[torch.randint(0, 256, (3, *size)) for size in sizes],
        data_samples=[DataSample().set_gt_label(i) for i in range(2)])
    model.train()
    if cfg.model.backbone.get('with_cp'):  # which cannot be traced
        turn_on_efficient_conv_bn_eval(model, cfg.efficient_conv_bn_eval)
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
        assert (0 <= result.pred_score).all()
        if model.head.multi_label:
            assert (result.pred_score <= 1).all()
            continue
        torch.testing.assert_close(result.pred_score.sum(), torch.tensor(1.))
    assert maps.shape[:2] == (2, 2)
    mass = maps.sum((-2, -1))
    if model.head.gives_evidence:  # and may find nothing
        assert (0 <= mass).all() and (mass < 1).all()
    else:
        torch.testing.assert_close(mass, torch.ones_like(mass))


@pytest.mark.parametrize('name', SAME_MODEL)
def test_data_set_config(name, tmp_path):
    """The model differs in its classes alone, and data sets have these."""
    cfg = load(name)
    reference = load('intr_cub.py').model
    if cfg.model.head.num_classes is None:
        cfg.model.head.num_classes = 17
    reference.head.num_classes = cfg.model.head.num_classes
    assert cfg.model == reference
    model = MODELS.build(cfg.model)
    assert len(model.head.query_embed.weight) == cfg.model.head.num_classes

    # Some look for their lists at once.
    for ann_file in ('cars_annos.mat', 'train_list.mat', 'test_list.mat'):
        (tmp_path / ann_file).touch()
    for loader in (cfg.train_dataloader, cfg.val_dataloader,
                   cfg.test_dataloader):
        assert loader.dataset.data_root == cfg.data_root
        dataset = DATASETS.build(
            dict(loader.dataset, data_root=str(tmp_path), lazy_init=True))
        classes = dataset.metainfo.get('classes')
        if isinstance(dataset, CustomDataset):
            # Nothing but the folders tells training from validation images.
            folder = 'train' if loader is cfg.train_dataloader else 'val'
            assert loader.dataset.data_prefix == folder
        else:
            assert len(classes) == cfg.model.head.num_classes


def stock_checkpoint(config, path):
    """A checkpoint of mmpretrain's own model with random weights."""
    torch.manual_seed(0)
    backbone = MODELS.build(get_config(f'mmpretrain::{config}').model.backbone)
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter)
    weights = backbone.state_dict()
    state = {f'backbone.{name}': value for name, value in weights.items()}
    state['head.fc.weight'] = torch.zeros(1000, 1)
    torch.save(dict(state_dict=state, meta=dict()), path)
    return weights


@pytest.mark.parametrize('name, stock', [
    ('intr_convnext-tiny_cub.py', 'convnext/convnext-tiny_32xb128_in1k.py'),
    ('intr_swin-tiny_cub.py', 'swin_transformer/swin-tiny_16xb64_in1k.py'),
    pytest.param(
        'intr_vit-base-p16_cub.py',
        'vision_transformer/vit-base-p16_32xb128-mae_in1k.py',
        marks=pytest.mark.slow),
    ('intr_deit-small_cub.py', 'deit/deit-small_4xb256_in1k.py'),
    ('intr_dinov2-small-p14_cub.py',
     'dinov2/vit-small-p14_dinov2-pre_headless.py'),
    ('intr_cub50_dinov2-small_frozen_224px.py',
     'dinov2/vit-small-p14_dinov2-pre_headless.py'),
])
def test_pretrained_backbone(name, stock, tmp_path):
    """All weights of mmpretrain's backbones arrive, positions resized."""
    expected = stock_checkpoint(stock, tmp_path / 'stock.pth')
    cfg = Config.fromfile(ROOT / 'configs' / name)
    cfg.model.backbone.init_cfg.checkpoint = str(tmp_path / 'stock.pth')
    model = MODELS.build(cfg.model)
    model.init_weights()
    weights = model.backbone.state_dict()
    if 'pos_embed' in weights:
        before, after = (
            round((embed.size(1) - 1)**.5)
            for embed in (expected['pos_embed'], weights['pos_embed']))
        size = cfg.model.backbone.img_size // cfg.model.backbone.patch_size
        assert after == size
        expected['pos_embed'] = resize_pos_embed(
            expected['pos_embed'], (before, before), (after, after),
            mode='bicubic')
    assert weights.keys() == expected.keys()
    for key, weight in weights.items():
        assert torch.equal(weight, expected[key]), key


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
