# One folder per class, data_root/{train,val}/class_x/*.jpg, the layout of the
# official INTR code; DETR's multi-scale augmentation.
_base_ = './cub_detr.py'

data_root = 'data/cub'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ImageFolders',
        data_root=data_root,
        data_prefix='train',
        with_label=True,
        pipeline=_base_.train_pipeline))

val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ImageFolders',
        data_root=data_root,
        data_prefix='val',
        with_label=True,
        pipeline=_base_.test_pipeline))

test_dataloader = val_dataloader
