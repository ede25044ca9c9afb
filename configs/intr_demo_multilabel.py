"""INTR on scenes of RingSpecies that show two birds of different species.

Both are true: how well are they found, and does the map of each class peak on
its bird or on the other? Birds are two thirds as large as in intr_demo.py, on
pictures of 128 pixels; the model is that of intr_demo_one_layer.py, whose maps
decide, but for what its head decides.

Paper:    none; Query2Label (arXiv 2107.10834) and ML-Decoder (arXiv
          2111.12933) let queries look for labels, the loss is that of arXiv
          2009.14119.
Data:     4,000 scenes to train on, 600 to validate, 300 to test; drawn at the
          first run into data/ring_species, 430 MB.
Start:    random weights.
Command:  python tools/train.py configs/intr_demo_multilabel.py
          python tools/test.py configs/intr_demo_multilabel.py CHECKPOINT
Cost:     10 minutes on one thread of an EPYC beside other work.
Expected: measured by us in one run with torch 2.11 in float32 on a CPU, test
          split, in percent:
          mAP (validation 94.2)        94.6, by chance 16.7
          precision, recall at 0.5     79.9, 97.5
          map peaks on its own bird    82.5, by area 7.1, maps shuffled 12.4
          ... on the other bird        11.0
          ... on a telling part        49.3, by area 1.8, maps shuffled 3.2
          With the two decoder layers of intr_demo.py, started from its
          weights and trained for one epoch: mAP 68.0, own bird 50.7, the
          other 40.5.
"""
_base_ = ['./intr_demo_one_layer.py']

scenes = dict(num_birds=2, img_size=128)
train_dataloader = dict(dataset=dict(num_samples=4000, **scenes))
val_dataloader = dict(dataset=scenes)
test_dataloader = dict(dataset=dict(num_samples=300, **scenes))

# The same head, but for its loss and what it decides.
model = dict(
    head=dict(
        type='MultiLabelINTRHead',
        loss=dict(_delete_=True, type='AsymmetricLoss')))

max_epochs = 8
param_scheduler = [
    dict(type='LinearLR', start_factor=.01, by_epoch=False, end=50),
    dict(
        type='CosineAnnealingLR', T_max=max_epochs,
        convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=2)

val_evaluator = dict(_delete_=True, type='AveragePrecision')
test_evaluator = [
    dict(type='AveragePrecision'),
    dict(type='MultiLabelMetric', thr=.5),
    # The map of each class: on its bird, or on the other?
    dict(type='PointingGame', stride=8, interval=True),
]
