# INTR of three encoder and three decoder layers at 448 px, CUB-200-2011, for
# pretrained backbones other than DETR's: ../intr_*_cub.py fill in the backbone
# and its channels.
_base_ = [
    './models/intr_r50.py',
    './datasets/cub_448.py',
    './schedules/intr_bs48_scratch.py',
    './default_runtime.py',
]

efficient_conv_bn_eval = None
model = dict(backbone=None, neck=dict(num_layers=3), head=dict(num_layers=3))

default_hooks = dict(
    checkpoint=dict(interval=10, max_keep_ckpts=2, save_best='auto'))
