"""INTR on CUB-200-2011 in train/val folders, the recipe of the paper.

As intr_cub.py, but the data lie as the official code wants them,
data/cub/{train,val}/class_x/*.jpg. intr_folder.py takes any folder of that
form.

Command:  tools/dist_train.sh configs/intr_cub_folder.py 4
Cost, expected result: see intr_cub.py; not measured here.
"""
_base_ = [
    './_base_/models/intr_r50.py',
    './_base_/datasets/folder_detr.py',
    './_base_/schedules/intr_bs48.py',
    './_base_/default_runtime.py',
]

load_from = 'https://dl.fbaipublicfiles.com/detr/detr-r50-e632da11.pth'

default_hooks = dict(
    checkpoint=dict(interval=10, max_keep_ckpts=2, save_best='auto'))
