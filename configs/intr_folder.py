"""INTR on any images in train/val folders, the recipe of the paper.

As intr_cub_folder.py, from DETR-R50; the tools take the number of classes and
their names from the folders, and write them into the config they save and
into the checkpoints.

Data:     FOLDER/{train,val}/class_x/*.jpg, both with the same class folders.
Command:  tools/dist_train.sh configs/intr_folder.py 4 --cfg-options \\
              data_root=FOLDER
          tools/dist_test.sh configs/intr_folder.py CHECKPOINT 4 \\
              --cfg-options data_root=FOLDER
Cost, expected result: those of your images; not measured here.
"""
_base_ = './intr_cub_folder.py'

model = dict(head=dict(num_classes=None))
