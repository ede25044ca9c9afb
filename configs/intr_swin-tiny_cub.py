"""INTR on CUB-200-2011 with Swin-T.

Three encoder and three decoder layers at 448 px, 14 x 14 cells of 32 px.

Data:     data/CUB_200_2011 as it is distributed.
Start:    mmpretrain's Swin-T of ImageNet-1k, fetched by
          ``init_cfg``; a local path does as well.
Command:  tools/dist_train.sh configs/intr_swin-tiny_cub.py 4
Recipe:   untested; learning rates, layers and epochs are a guess.
Cost, expected result: not measured here.
"""
_base_ = './_base_/intr_cub_448px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        arch='tiny',
        img_size=448,
        drop_path_rate=0.2,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/'
            'mmclassification/v0/swin-transformer/'
            'swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth',
            prefix='backbone')),
    neck=dict(in_channels=768))
