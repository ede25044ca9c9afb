"""INTR on CUB-200-2011 with DINOv2 ViT-S/14.

Three encoder and three decoder layers at 448 px, 32 x 32 cells of 14 px.

Data:     data/CUB_200_2011 as it is distributed.
Start:    DINOv2, fetched by ``init_cfg``; a local path does as well.
Command:  tools/dist_train.sh configs/intr_dinov2-small-p14_cub.py 4
Recipe:   untested; learning rates, layers and epochs are a guess.
Cost, expected result: not measured here.
"""
_base_ = './_base_/intr_cub_448px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='VisionTransformer',
        arch='dinov2-small',
        img_size=448,
        patch_size=14,
        layer_scale_init_value=1e-5,
        out_type='featmap',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/'
            'mmpretrain/v1.0/dinov2/'
            'vit-small-p14_dinov2-pre_3rdparty_20230426-5641ca5a.pth',
            prefix='backbone')),
    neck=dict(in_channels=384))
