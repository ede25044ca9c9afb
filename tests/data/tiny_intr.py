"""INTR small enough to train in seconds, on folders of images, with all
sources of randomness (shuffling, augmentation in workers, dropout) and images
of different sizes in a batch."""
_base_ = '../../configs/_base_/default_runtime.py'

model = dict(
    type='INTRClassifier',
    channels_last=True,
    backbone=dict(
        type='TinyResNet',
        depth=8,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2, ),
        stem_channels=8,
        base_channels=8),
    neck=dict(
        type='INTREncoder',
        in_channels=32,
        embed_dims=16,
        num_layers=1,
        num_heads=2,
        feedforward_channels=32),
    head=dict(
        type='INTRHead',
        num_classes=3,
        embed_dims=16,
        num_layers=1,
        num_heads=2,
        feedforward_channels=32),
    data_preprocessor=dict(
        mean=[127.5] * 3, std=[64] * 3, num_classes=3, to_rgb=True))

train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    dataset=dict(
        type='CustomDataset',
        data_root='data/tiny',
        data_prefix='train',
        pipeline=[
            dict(type='LoadIntactImage', ignore_empty=True),
            dict(type='RandomResizedCrop', scale=48),
            dict(
                type='RandomChoiceResize',
                scales=[(40, 40), (48, 56)],
                resize_type='Resize'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ]),
    sampler=dict(type='DefaultSampler', shuffle=True))
test_dataloader = dict(
    batch_size=3,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type='CustomDataset',
        data_root='data/tiny',
        data_prefix='val',
        test_mode=True,
        pipeline=[
            dict(type='LoadIntactImage'),
            dict(type='Resize', scale=(48, 48)),
            dict(type='PackInputs'),
        ]),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_dataloader = test_dataloader
test_evaluator = dict(type='Accuracy', topk=(1, 2))
val_evaluator = test_evaluator

optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
param_scheduler = dict(type='CosineAnnealingLR', T_max=3, by_epoch=True)
train_cfg = dict(by_epoch=True, max_epochs=3)
val_cfg = dict()
test_cfg = dict()

default_hooks = dict(logger=dict(interval=1))
log_processor = dict(window_size=1)
