"""INTR's head on mmpretrain's ViT-B/16 configuration.

``out_type='featmap'`` hands on the patches instead of the class token;
channels, classes, loss, data, augmentation and schedule are mmpretrain's.

Command:  tools/dist_train.sh configs/intr_vit-base-p16_in1k.py 32
Cost, expected result: not measured here.
"""
_base_ = 'mmpretrain::vision_transformer/vit-base-p16_32xb128-mae_in1k.py'

custom_imports = dict(imports=['intr_mm'])
model = dict(
    backbone=dict(out_type='featmap'),
    head=dict(type='INTRHead', num_layers=3))
