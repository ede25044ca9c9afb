# INTR on ResNet-50: statistics and affine of all BN, the stem and the first
# stage are frozen, as in DETR.
model = dict(
    type='INTRClassifier',
    # how the backbone lies in memory: faster, and the same numbers
    channels_last=True,
    # what is predicted of an image depends on no other of its batch
    pad_after_backbone=True,
    backbone=dict(
        type='TorchvisionResNet',
        depth=50,
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True),
    neck=dict(
        type='INTREncoder',
        in_channels=2048,
        embed_dims=256,
        num_layers=6,
        num_heads=8,
        feedforward_channels=2048,
        dropout=0.1),
    head=dict(
        type='INTRHead',
        num_classes=200,
        embed_dims=256,
        num_layers=6,
        num_heads=8,
        feedforward_channels=2048,
        dropout=0.1,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0)))

# In training, too, convolutions take up the frozen BN behind them.
efficient_conv_bn_eval = ['backbone']
