"""INTR on Bird-525 in train/val folders, the recipe of the paper.

As intr_cub_folder.py, from DETR-R50.

Data:     data/bird/{train,val}/class_x/*.jpg, 525 species.
Command:  tools/dist_train.sh configs/intr_bird.py 4
Cost:     not measured here.
Expected: 97.4 top-1 and 99.2 top-5 are the authors' figures for their
          checkpoint (README of the official code). We have not run this
          training.
"""
_base_ = './intr_cub_folder.py'
data_root = 'data/bird'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
model = dict(head=dict(num_classes=525))
