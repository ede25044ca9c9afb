"""INTR on Oxford-IIIT Pet, the recipe of the paper.

As intr_cub.py, from DETR-R50.

Data:     data/Oxford-IIIT_Pets as it is distributed.
          Official split trainval/test: 3,680 and 3,669 images of 37 classes.
Command:  tools/dist_train.sh configs/intr_pet.py 4
Cost, expected result: not measured here.
"""
_base_ = './intr_cub.py'

data_root = 'data/Oxford-IIIT_Pets'
dataset = dict(type='OxfordIIITPet', data_root=data_root)
train_dataloader = dict(dataset=dict(**dataset, split='trainval'))
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
model = dict(head=dict(num_classes=37))
