"""INTR's head on mmpretrain's Swin-T configuration.

One line puts INTRHead in place of pooling and linear head; channels, classes,
loss, data, augmentation and schedule are mmpretrain's.

Command:  tools/dist_train.sh configs/intr_swin-tiny_in1k.py 16
Cost, expected result: not measured here.
"""
_base_ = 'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py'

custom_imports = dict(imports=['intr_mm'])
model = dict(neck=None, head=dict(type='INTRHead', num_layers=3))
