# CUB-200-2011 in its own layout, DETR's multi-scale augmentation.
dataset_type = 'CUB'
data_root = 'data/CUB_200_2011'
data_preprocessor = dict(
    # RGB format normalization parameters
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    # convert image from BGR to RGB
    to_rgb=True,
)

# DETR resizes with Pillow's antialiased bilinear filter.
resize = dict(keep_ratio=True, backend='pillow')
multi_scale = dict(
    type='RandomChoiceResize',
    scales=[(1333, short) for short in range(480, 801, 32)],
    resize_type='Resize',
    **resize)

train_pipeline = [
    dict(type='LoadIntactImage', ignore_empty=True),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(
        type='RandomChoice',
        transforms=[
            [multi_scale],
            [
                dict(
                    type='RandomChoiceResize',
                    # No limit on the longer side, as in DETR.
                    scales=[(100000, short) for short in (400, 500, 600)],
                    resize_type='Resize',
                    **resize),
                dict(
                    type='mmdet.RandomCrop',
                    crop_type='absolute_range',
                    crop_size=(384, 600)),
                multi_scale,
            ],
        ]),
    dict(type='PackInputs'),
]

test_pipeline = [
    dict(type='LoadIntactImage'),
    dict(type='Resize', scale=(1333, 800), **resize),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=12,
    num_workers=4,
    drop_last=True,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='train',
        pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)

val_dataloader = dict(
    batch_size=12,
    num_workers=4,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='test',
        pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='Accuracy', topk=(1, 5))

test_dataloader = val_dataloader
test_evaluator = val_evaluator
