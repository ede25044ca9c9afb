"""INTR on CUB-200-2011 with DINOv2 ViT-B/14.

As intr_dinov2-small-p14_cub.py, with a backbone of 768 channels.

Start:    DINOv2, fetched by ``init_cfg``; a local path does as well.
Command:  tools/dist_train.sh configs/intr_dinov2-base-p14_cub.py 4
Recipe:   untested; learning rates, layers and epochs are a guess.
Cost, expected result: not measured here.
"""
_base_ = './intr_dinov2-small-p14_cub.py'

model = dict(
    backbone=dict(
        arch='base',
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/'
            'mmpretrain/v1.0/dinov2/'
            'vit-base-p14_dinov2-pre_3rdparty_20230426-ba246503.pth')),
    neck=dict(in_channels=768))
