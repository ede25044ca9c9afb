"""An evidence head on a frozen ImageNet ResNet-50, for CUB-50.

As intr_cub50_frozen_224px.py, but the map that is shown is the score. Tokens
see two cells to each side; what they speak is handed back to the cells that
they come from. The backbone and its weights are those of that config.

Command:  python tools/train.py configs/intr_cub50_evidence_frozen_224px.py \\
              --cfg-options model.backbone.init_cfg.checkpoint=WEIGHTS
Cost:     less than intr_cub50_frozen_224px.py, whose head has two layers; it
          finds the features which that config has computed.
Expected: on the official test split, torch 2.11 in float32, mean and range
          of seeds 0, 1 and 2: 76.9 top-1 (76.4 to 77.2), 94.5 top-5, 2.2 with
          even attention; evidence peaks on a part in 74.3 % of the photos
          (63.1 to 80.0; 12.8 by area, 38.5 with maps shuffled between images)
          and in the bounding box in 91.1 % (82.9 to 96.6; 35.1, 71.4). Signed
          values, the window and the weight of the mass were chosen on photos
          held out from the training split.
"""
_base_ = './intr_cub50_frozen_224px.py'

model = dict(
    neck=dict(window_radius=2),
    head=dict(
        _delete_=True, type='EvidenceHead', num_classes=50, mass_weight=.3))

optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=3.))))

test_evaluator = [
    dict(type='Accuracy', topk=(1, 5)),
    dict(type='PartPointing', explainer=dict(type='EvidenceExplainer')),
    dict(type='EvenAttention'),
]
