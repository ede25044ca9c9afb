"""INTR on Stanford Cars, the recipe of the paper.

As intr_cub.py, from DETR-R50.

Data:     data/Stanford_Cars as it is distributed: car_ims and
          cars_annos.mat, or cars_train, cars_test and devkit.
          Official split train/test: 8,144 and 8,041 images of 196 classes.
Command:  tools/dist_train.sh configs/intr_car.py 4
Cost, expected result: not measured here.
"""
_base_ = './intr_cub.py'

data_root = 'data/Stanford_Cars'
dataset = dict(type='StanfordCars', data_root=data_root)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
model = dict(head=dict(num_classes=196))
