"""An evidence head on a frozen DINOv2 ViT-S/14, for CUB-50.

As intr_cub50_evidence_frozen_224px.py, on the backbone and the features of
intr_cub50_dinov2-small_frozen_224px.py. Cells speak for a class by constants
of the heads instead of signed values, neck and head learn at one rate, and
the encoder has no window, as a token of a ViT has seen the whole image. All
three were chosen on 300 photos held out from the training split.

Command:  python tools/train.py \\
              configs/intr_cub50_dinov2-small_evidence_frozen_224px.py
Cost:     12 CPU-minutes once the features of that config are there.
Expected: on the official test split, torch 2.11 in float32 on a Xeon, mean and
          range of seeds 0, 1 and 2: 65.1 top-1 (64.1 to 65.7), 90.4 top-5, 2.2
          with even attention; evidence peaks on a part in 81.3 % of the photos
          (80.6 to 81.9; 12.8 by area, 36.5 with maps shuffled between images)
          and in the bounding box in 96.4 % (95.6 to 97.3; 35.1, 69.7).
"""
_base_ = './intr_cub50_dinov2-small_frozen_224px.py'

model = dict(
    head=dict(
        _delete_=True,
        type='EvidenceHead',
        num_classes=50,
        values='constant',
        mass_weight=.3))

optim_wrapper = dict(optimizer=dict(lr=1e-3))

test_evaluator = [
    dict(type='Accuracy', topk=(1, 5)),
    dict(
        type='PartPointing',
        stride=14,
        offset=6.5,
        explainer=dict(type='EvidenceExplainer')),
    dict(type='EvenAttention'),
]
