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

# The flip and the multi-scale crop of DETR.
train_pipeline = [
    dict(
        type='LoadIntactImage',
        imdecode_backend='torchvision',
        ignore_empty=True),
    dict(type='DETRAugment'),
    dict(type='PackInputs'),
]

# DETR resizes with Pillow's antialiased bilinear filter. PyTorch's differs by
# a rounding in one of 2,500 values; backend='pillow' has Pillow's own.
test_pipeline = [
    dict(type='LoadIntactImage'),
    dict(type='PlanarResize', scale=(1333, 800), keep_ratio=True),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=12,
    num_workers=4,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='train',
        pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
    # random views of like shape share a batch, which needs little padding
    batch_sampler=dict(type='ViewShapeBatchSampler', drop_last=True),
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
    # images of like shape share a batch, which needs little padding
    sampler=dict(type='AspectRatioSampler', shuffle=False),
)
val_evaluator = dict(type='Accuracy', topk=(1, 5))

test_dataloader = val_dataloader
test_evaluator = val_evaluator
