# For encoders and decoders that start at random, on 4 GPUs of 12 images each:
# a guess from intr_cub50_frozen_224px.py, of which nothing has been trained.
_base_ = './intr_bs48.py'

optim_wrapper = dict(
    optimizer=dict(lr=1e-4, weight_decay=1e-4),
    # the backbone learns at 1e-5
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
    clip_grad=dict(max_norm=1.0))

param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.05, end=2, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=2,
        by_epoch=True,
        convert_to_iter_based=True),
]

train_cfg = dict(max_epochs=50)
