"""INTR on a folder of photos, the recipe of the paper on one GPU of 8 GB.

As intr_folder.py, with the same 48 images in a step: 12 batches of 4, whose
gradients are summed. Backbone, encoder and decoder compute their layers again
in the backward pass, in bfloat16 (a GPU from Ampere on; on an older one, set
``optim_wrapper.type=AmpOptimWrapper``).

Data:     FOLDER/{train,val}/class_x/*.jpg, both with the same class folders.
Start:    DETR-R50, fetched by ``load_from``; a local path does as well.
Command:  python tools/train.py configs/intr_folder_small_gpu.py \\
              --cfg-options data_root=FOLDER
Memory:   about 3.5 GB, computed, as no GPU was at hand. Of an image of the
          largest size, 800 x 1333 pixels, PyTorch's saved_tensors_hooks count
          on its meta device 261 MB that the backward pass needs, with 200
          classes, and 128 MB for the layer that is computed again: 1.6 GB for
          4 images, where it were 4.0 GB if nothing was computed again. The
          frozen first stage needs 0.4 GB for a moment, weights, gradients and
          AdamW 0.7 GB, CUDA itself about 0.5 GB.
Cost:     time was not measured.
Expected: those of your images; not measured here.
"""
_base_ = './intr_folder.py'

model = dict(
    backbone=dict(with_cp=True),
    neck=dict(with_cp=True),
    head=dict(with_cp=True))

# Layers that are computed again cannot be traced, as taking up BN needs.
efficient_conv_bn_eval = []

train_dataloader = dict(batch_size=4)
val_dataloader = dict(batch_size=4)
test_dataloader = dict(batch_size=4)

optim_wrapper = dict(type='BFloat16OptimWrapper', accumulative_counts=12)
