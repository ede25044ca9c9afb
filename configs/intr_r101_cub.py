"""INTR on CUB-200-2011 with DETR-R101, the recipe of the paper.

Start:    DETR-R101, fetched by ``load_from``; a local path does as well.
Data:     as intr_cub.py.
Command:  tools/dist_train.sh configs/intr_r101_cub.py 4
Cost, expected result: not in the README of the official code, and not
          measured here.
"""
_base_ = './intr_cub.py'

model = dict(backbone=dict(depth=101))

load_from = 'https://dl.fbaipublicfiles.com/detr/detr-r101-2c7b67e5.pth'
