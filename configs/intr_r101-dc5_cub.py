"""INTR on CUB-200-2011 with DETR-DC5-R101, whose last stage is dilated.

As intr_cub_dc5.py, with a backbone of 101 layers.

Start:    DETR-DC5-R101, fetched by ``load_from``; a local path does as well.
Command:  tools/dist_train.sh configs/intr_r101-dc5_cub.py 4
Cost, expected result: not in the README of the official code, and not
          measured here.
"""
_base_ = './intr_cub_dc5.py'

model = dict(backbone=dict(depth=101))

load_from = 'https://dl.fbaipublicfiles.com/detr/detr-r101-dc5-a2e86def.pth'
