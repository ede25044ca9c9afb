# Schedule of the official code, for 4 GPUs of 12 images each.
optim_wrapper = dict(
    optimizer=dict(type='FusedAdamW', lr=5e-5, weight_decay=1e-6),
    # the backbone learns at 1e-5
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.2))),
    clip_grad=dict(max_norm=0.1, norm_type=2),
)

param_scheduler = dict(
    type='MultiStepLR', by_epoch=True, milestones=[80], gamma=0.1)

train_cfg = dict(by_epoch=True, max_epochs=140, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# used by `tools/train.py --auto-scale-lr`
auto_scale_lr = dict(base_batch_size=48)
