"""INTR on CUB-200-2011 with ConvNeXt-T.

Three encoder and three decoder layers at 448 px, 14 x 14 cells of 32 px.

Data:     data/CUB_200_2011 as it is distributed.
Start:    mmpretrain's ConvNeXt-T of ImageNet-1k, fetched by
          ``init_cfg``; a local path does as well.
Command:  tools/dist_train.sh configs/intr_convnext-tiny_cub.py 4
Recipe:   untested; learning rates, layers and epochs are a guess.
Cost, expected result: not measured here.
"""
_base_ = './_base_/intr_cub_448px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ConvNeXt',
        arch='tiny',
        drop_path_rate=0.1,
        # True would average the map away.
        gap_before_final_norm=False,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/'
            'mmclassification/v0/convnext/'
            'convnext-tiny_32xb128_in1k_20221207-998cf3e9.pth',
            prefix='backbone')),
    neck=dict(in_channels=768))
