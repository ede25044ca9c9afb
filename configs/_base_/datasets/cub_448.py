# mmpretrain's CUB-200-2011 at 448 px: one size, as ViT and Swin want it.
_base_ = 'mmpretrain::_base_/datasets/cub_bs8_448.py'

data_root = 'data/CUB_200_2011'

# mmpretrain's own loading turns half a JPEG file into an image silently.
train_pipeline = [
    dict(type='LoadIntactImage', ignore_empty=True),
    *_base_.train_pipeline[1:],
]
test_pipeline = [dict(type='LoadIntactImage'), *_base_.test_pipeline[1:]]

train_dataloader = dict(
    batch_size=12,
    num_workers=4,
    drop_last=True,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(pipeline=train_pipeline))

val_dataloader = dict(
    batch_size=12,
    num_workers=4,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(pipeline=test_pipeline))
val_evaluator = dict(topk=(1, 5))

test_dataloader = val_dataloader
test_evaluator = val_evaluator
