"""INTR on CUB-200-2011 with ViT-B/16.

Three encoder and three decoder layers at 448 px, 28 x 28 cells of 16 px.

Data:     data/CUB_200_2011 as it is distributed.
Start:    mmpretrain's ViT-B/16 of MAE and ImageNet-1k, fetched by
          ``init_cfg``; a local path does as well.
Command:  tools/dist_train.sh configs/intr_vit-base-p16_cub.py 4
Recipe:   untested; learning rates, layers and epochs are a guess.
Cost, expected result: not measured here.
"""
_base_ = './_base_/intr_cub_448px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='VisionTransformer',
        arch='base',
        img_size=448,
        patch_size=16,
        drop_path_rate=0.1,
        out_type='featmap',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/'
            'mmclassification/v0/vit/'
            'vit-base-p16_pt-32xb128-mae_in1k_20220623-4c544545.pth',
            prefix='backbone')),
    neck=dict(in_channels=768))
