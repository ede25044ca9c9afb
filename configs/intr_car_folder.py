"""INTR on Stanford Cars in train/val folders, the recipe of the paper.

As intr_cub_folder.py, from DETR-R50.

Data:     data/car/{train,val}/class_x/*.jpg, 196 classes.
Command:  tools/dist_train.sh configs/intr_car_folder.py 4
Cost, expected result: see intr_car.py; not measured here.
"""
_base_ = './intr_cub_folder.py'
data_root = 'data/car'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
model = dict(head=dict(num_classes=196))
