"""INTR on a folder of photos, on a frozen ImageNet ResNet-50, without a GPU.

As intr_cub50_frozen_224px.py, which was measured; the tools take the classes
from the folders. Features of four views of each photo are computed once and
kept in work_dirs/features, so that later epochs and runs take little time.

Data:     FOLDER/{train,val}/class_x/*.jpg, both with the same class folders.
Start:    a ResNet-50 of ImageNet-1k, fetched by ``init_cfg`` and frozen; a
          local path does as well.
Command:  python tools/train.py configs/intr_folder_frozen_224px.py \\
              --cfg-options data_root=FOLDER
Cost, expected result: those of your images; not measured here.
"""
_base_ = './intr_cub50_frozen_224px.py'

data_root = 'data/photos'

data_preprocessor = dict(
    num_classes=None,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375])

model = dict(
    backbone=dict(
        style='pytorch',
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmclassification/v0/'
            'resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth')),
    head=dict(num_classes=None),
    test_cfg=dict(_delete_=True))

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ImageFolders',
        data_root=data_root,
        data_prefix='train',
        with_label=True,
        pipeline=_base_.train_dataloader.dataset.pipeline))

val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ImageFolders',
        data_root=data_root,
        data_prefix='val',
        with_label=True,
        pipeline=_base_.val_dataloader.dataset.pipeline))

test_dataloader = val_dataloader
test_evaluator = [
    dict(type='Accuracy', topk=(1, 5)),
    dict(type='EvenAttention'),
]

train_cfg = dict(val_interval=4)
default_hooks = dict(checkpoint=dict(save_best='auto'))
