"""INTR on CUB-200-2011 with DeiT-S/16.

Three encoder and three decoder layers at 448 px, 28 x 28 cells of 16 px.

Data:     data/CUB_200_2011 as it is distributed.
Start:    mmpretrain's DeiT-S of ImageNet-1k, fetched by
          ``init_cfg``; a local path does as well.
Command:  tools/dist_train.sh configs/intr_deit-small_cub.py 4
Recipe:   untested; learning rates, layers and epochs are a guess.
Cost, expected result: not measured here.
"""
_base_ = './_base_/intr_cub_448px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='VisionTransformer',
        arch='deit-small',
        img_size=448,
        patch_size=16,
        out_type='featmap',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/'
            'mmclassification/v0/deit/'
            'deit-small_pt-4xb256_in1k_20220218-9425b9bb.pth',
            prefix='backbone')),
    neck=dict(in_channels=384))
