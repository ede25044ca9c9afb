"""INTR on CUB-200-2011 with EfficientNet-Lite0 of timm.

Three encoder and three decoder layers at 448 px, 28 x 28 cells of 16 px.
Any other model of timm that yields feature maps goes the same way.

Data:     data/CUB_200_2011 as it is distributed.
Start:    timm's weights of ImageNet-1k, fetched by ``pretrained=True``.
Command:  tools/dist_train.sh configs/intr_timm-efficientnet-lite0_cub.py 4
Recipe:   untested; learning rates, layers and epochs are a guess.
Cost, expected result: not measured here.
"""
_base_ = './_base_/intr_cub_448px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='efficientnet_lite0',
        features_only=True,
        pretrained=True,
        out_indices=(4, ),
        output_stride=16),
    neck=dict(in_channels=320))
