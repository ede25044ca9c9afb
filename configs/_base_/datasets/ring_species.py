# Embedded data set: pictures are drawn from a seed, nothing is downloaded.
dataset_type = 'RingSpecies'
data_root = 'data/ring_species'

data_preprocessor = dict(
    type='INTRDataPreprocessor',
    num_classes=12,
    mean=[127.5, 127.5, 127.5],
    std=[64, 64, 64],
    to_rgb=True)

# No augmentation: each picture differs in pose, light and surroundings.
pipeline = [
    dict(
        type='PackInputs',
        meta_keys=('sample_idx', 'ori_shape', 'img_shape', 'part_mask',
                   'telling_parts', 'differing_parts', 'pair_id',
                   'repainted')),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    dataset=dict(
        type=dataset_type,
        num_samples=6000,
        seed=0,
        cache_dir=data_root,
        pipeline=pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)

val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    dataset=dict(
        type=dataset_type,
        num_samples=600,
        seed=1,
        cache_dir=data_root,
        test_mode=True,
        pipeline=pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='Accuracy', topk=(1, 5))

test_dataloader = dict(
    batch_size=32,
    num_workers=0,
    dataset=dict(
        type=dataset_type,
        num_samples=1200,
        seed=2,
        cache_dir=data_root,
        test_mode=True,
        pipeline=pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_evaluator = [
    dict(type='Accuracy', topk=(1, 5)),
    dict(type='PointingGame', stride=8, differing_key='differing_parts'),
]
