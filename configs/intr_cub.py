"""INTR on CUB-200-2011, the recipe of the paper.

Paper:    A Simple Interpretable Transformer for Fine-Grained Image
          Classification and Analysis, ICLR 2024, arXiv 2311.04157. The
          recipe is that of the official code (github.com/Imageomics/INTR).
Data:     data/CUB_200_2011 as it is distributed. intr_cub_folder.py reads
          train/val folders instead.
Start:    DETR-R50, fetched by ``load_from``; a local path does as well. Class
          queries are made from its object queries.
Command:  tools/dist_train.sh configs/intr_cub.py 4
Cost:     140 epochs of 5,994 images on 4 GPUs; time and memory were not
          measured here.
Expected: 71.8 top-1 and 89.3 top-5 are the authors' figures for their
          checkpoint (README of the official code). We have not run this
          training.
Differs:  each test image counts once, whatever the number of processes; mmcv
          rounds the longer side of a resized image where the official code
          cuts it off (1 pixel at most). Training views are resampled once,
          by OpenCV; ``DETRAugment(backend='pillow')`` has the official filter.
          Views of like shape share a batch, 5 instead of 48 % of which is
          padding; ``train_dataloader.batch_sampler=None`` has random batches.
"""
_base_ = [
    './_base_/models/intr_r50.py',
    './_base_/datasets/cub_detr.py',
    './_base_/schedules/intr_bs48.py',
    './_base_/default_runtime.py',
]

load_from = 'https://dl.fbaipublicfiles.com/detr/detr-r50-e632da11.pth'

default_hooks = dict(
    checkpoint=dict(interval=10, max_keep_ckpts=2, save_best='auto'))
