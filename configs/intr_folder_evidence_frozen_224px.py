"""An evidence head on a folder of photos, on a frozen ResNet-50.

As intr_folder_frozen_224px.py, without a GPU, but the map that is shown is the
score. The settings are those of intr_cub50_evidence_frozen_224px.py, which was
measured.

Command:  python tools/train.py configs/intr_folder_evidence_frozen_224px.py \\
              --cfg-options data_root=FOLDER
          or python tools/dataset_converters/split_folder.py FOLDER --config \\
              configs/intr_folder_evidence_frozen_224px.py
Cost, expected result: those of your images; not measured here.
"""
_base_ = './intr_folder_frozen_224px.py'

model = dict(
    neck=dict(window_radius=2),
    head=dict(
        _delete_=True, type='EvidenceHead', num_classes=None, mass_weight=.3))

optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=3.))))
