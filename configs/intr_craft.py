"""INTR on FGVC-Aircraft, the recipe of the paper.

As intr_cub.py, from DETR-R50.

Data:     data/fgvc-aircraft-2013b as it is distributed.
          Official split trainval/test: 6,667 and 3,333 images of 100 classes.
Command:  tools/dist_train.sh configs/intr_craft.py 4
Cost, expected result: not measured here.
"""
_base_ = './intr_cub.py'

data_root = 'data/fgvc-aircraft-2013b'
dataset = dict(type='FGVCAircraft', data_root=data_root)
train_dataloader = dict(dataset=dict(**dataset, split='trainval'))
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
model = dict(head=dict(num_classes=100))
