"""INTR on Butterfly in train/val folders, the recipe of the paper.

As intr_cub_folder.py, from DETR-R50.

Data:     data/butterfly/{train,val}/class_x/*.jpg, 65 classes.
Command:  tools/dist_train.sh configs/intr_butterfly.py 4
Cost:     not measured here.
Expected: 95.0 top-1 and 98.3 top-5 are the authors' figures for their
          checkpoint (README of the official code). We have not run this
          training.
"""
_base_ = './intr_cub_folder.py'
data_root = 'data/butterfly'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
model = dict(head=dict(num_classes=65))
