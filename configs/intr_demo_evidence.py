"""An evidence head on RingSpecies: the map that is shown is the score.

The paper's head of one decoder layer shapes backbone and encoder, and
EvidenceReader reads their tokens: each class adds up what it finds, and the
sum over the map is its logit.
"""
_base_ = ['./intr_demo.py']

model = dict(
    # Tokens see the cells next to them and no others.
    neck=dict(window_radius=1),
    head=dict(
        _delete_=True,
        type='EvidenceReader',
        num_classes=12,
        embed_dims=96,
        num_heads=8,
        values='constant',
        value_scale=10.,
        gain=2.,
        null_logit=7.,
        reader_channels=192,
        mass_weight=1.,
        auxiliary=dict(
            type='INTRHead',
            num_classes=12,
            embed_dims=96,
            num_layers=1,
            num_heads=4,
            feedforward_channels=256,
            dropout=0.)))

# The reader learns from tokens that change until the end.
max_epochs = 6
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(
        type='CosineAnnealingLR', T_max=max_epochs,
        convert_to_iter_based=True),
]
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={
        'head': dict(lr_mult=3.),
        'head.auxiliary': dict(lr_mult=1.)
    }))

test_evaluator = [
    dict(type='Accuracy', topk=(1, 5)),
    dict(type='PointingGame', explainer=dict(type='EvidenceExplainer')),
    *_base_.test_evaluator[2:],
]
