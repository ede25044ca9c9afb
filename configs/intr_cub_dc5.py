"""INTR on CUB-200-2011 with a dilated last stage (DETR's DC5).

As intr_cub.py, with maps of twice the resolution at stride 16. The first
block of the dilated stage keeps its dilation, as in torchvision, so DETR-DC5
weights fit.

Command:  tools/dist_train.sh configs/intr_cub_dc5.py 4
Cost, expected result: not in the paper, and not measured here.
"""
_base_ = './intr_cub.py'

model = dict(backbone=dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)))

load_from = 'https://dl.fbaipublicfiles.com/detr/detr-r50-dc5-f0fb7ef5.pth'
