"""INTR on Stanford Dogs, the recipe of the paper.

As intr_cub.py, from DETR-R50.

Data:     data/stanford_dogs as it is distributed.
          Official split train/test: 12,000 and 8,580 images of 120 classes.
Command:  tools/dist_train.sh configs/intr_dog.py 4
Cost, expected result: not measured here.
"""
_base_ = './intr_cub.py'

data_root = 'data/stanford_dogs'
dataset = dict(type='StanfordDogs', data_root=data_root)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
model = dict(head=dict(num_classes=120))
