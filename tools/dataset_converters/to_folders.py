"""Make train/val folders of a data set from its official download.

    python tools/dataset_converters/to_folders.py DATASET SRC DST [--copy]

DST/{train,val}/CLASS/IMAGE become links to the official training and test
images, or copies of them. SRC is the unpacked download:

    DATASET                  SRC holds
    cub    CUB-200-2011      images/, images.txt, image_class_labels.txt,
                             train_test_split.txt
    dog    Stanford Dogs     Images/, train_list.mat, test_list.mat (these two
                             may lie in lists/)
    car    Stanford Cars     cars_train/, cars_test/, devkit/ and, put into
                             devkit/, cars_test_annos_withlabels.mat;
                             or car_ims/, cars_annos.mat
    craft  FGVC-Aircraft     data/
    pet    Oxford-IIIT Pet   images/, annotations/

CustomDataset numbers classes by the sorted names of their folders, and that is
the order of the official labels. cub and dog keep the folders they come in; in
the others a folder has the number and the name of its class, such as
``074.F_A-18`` for F/A-18.

A run that was broken off is completed by the same command. Links are relative:
they hold when a folder above both SRC and DST is moved or mounted elsewhere.
"""
import argparse
import os
import os.path as osp
import re
import shlex
from pathlib import Path
from typing import NamedTuple

from mmpretrain.datasets import (CUB, CustomDataset, FGVCAircraft,
                                 OxfordIIITPet, StanfordCars)

from intr_mm.checkpoints import AtomicLocalBackend
from intr_mm.datasets import StanfordDogs


class Source(NamedTuple):
    """An official download, and the dataset class that reads it."""
    dataset_type: type
    train_split: str
    num_train: int
    num_val: int
    remedy: str
    has_class_folders: bool = False


SOURCES = dict(
    cub=Source(
        CUB, 'train', 5994, 5794,
        'unpack CUB_200_2011.tgz of www.vision.caltech.edu/datasets/'
        'cub_200_2011 and let SRC be its folder CUB_200_2011', True),
    dog=Source(
        StanfordDogs, 'train', 12000, 8580,
        'unpack images.tar and lists.tar of vision.stanford.edu/aditya86/'
        'ImageNetDogs in SRC', True),
    car=Source(
        StanfordCars, 'train', 8144, 8041,
        'unpack cars_train.tgz, cars_test.tgz and car_devkit.tgz of '
        'ai.stanford.edu/~jkrause/cars/car_dataset.html in SRC and put '
        'cars_test_annos_withlabels.mat into its devkit'),
    craft=Source(
        FGVCAircraft, 'trainval', 6667, 3333,
        'unpack fgvc-aircraft-2013b.tar.gz of www.robots.ox.ac.uk/~vgg/data/'
        'fgvc-aircraft and let SRC be its folder fgvc-aircraft-2013b'),
    pet=Source(
        OxfordIIITPet, 'trainval', 3680, 3669,
        'unpack images.tar.gz and annotations.tar.gz of '
        'www.robots.ox.ac.uk/~vgg/data/pets in SRC'))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Make train/val folders of a data set')
    parser.add_argument('dataset', choices=SOURCES, help='data set')
    parser.add_argument('src', help='folder of the official download')
    parser.add_argument('dst', help='folder to make train/ and val/ in')
    parser.add_argument(
        '--copy', action='store_true', help='copy the images, not link them')
    return parser.parse_args()


def plan_split(source: Source, src: str, folder: str) -> dict:
    """Read the official list of a split.

    Args:
        source: The official download.
        src: Where it lies.
        folder: The folder to be made of the split, 'train' or 'val'.

    Returns:
        Image files to be made, relative to the destination, and the official
        images.

    Raises:
        ValueError: The list is missing or damaged, or not the official one,
            or an image is missing.
    """
    split, num_images = dict(
        train=(source.train_split, source.num_train),
        val=('test', source.num_val))[folder]
    lists = f"the lists of {source.dataset_type.__name__} in '{src}'"
    try:
        dataset = source.dataset_type(data_root=src, split=split)
    # each class has errors of its own for what it cannot read
    except Exception as error:
        reason = ' '.join(str(error).split()).rstrip('.')
        raise ValueError(f'{lists} cannot be read ({reason})') from error

    names = dict(enumerate(dataset.CLASSES))
    plan, folders = {}, set()
    for image in map(dataset.get_data_info, range(len(dataset))):
        path, label = image['img_path'], image['gt_label']
        if source.has_class_folders:
            class_folder = osp.basename(osp.dirname(path))
        else:
            name = re.sub(r'[^\w.-]', '_', names.get(label, ''))
            class_folder = f'{label + 1:03}.{name}'
        plan[osp.join(folder, class_folder, osp.basename(path))] = path
        folders.add((class_folder, label))
    if len(plan) != num_images:
        raise ValueError(f'{lists} name {len(plan)} images of the {split} '
                         f'split where the official ones name {num_images}')
    if [label for _, label in sorted(folders)] != list(names):
        raise ValueError(f'{lists} do not name the {len(names)} classes of '
                         f'the {split} split in the official order')
    missing = [path for path in plan.values() if not osp.isfile(path)]
    if missing:
        raise ValueError(f'{len(missing)} of {num_images} images of the '
                         f"{split} split are missing, first '{missing[0]}'")
    return plan


def make_image(image: str, target: str, copy: bool) -> bool:
    """Link or copy an image, unless that was done before.

    Args:
        image: The official image.
        target: The file to be made.
        copy: Whether to copy.

    Returns:
        Whether the target is the image now. It is not where another file lies,
        which is left as it is.
    """
    if osp.lexists(target) and not osp.islink(target):
        # copies are whole, so a file of the same size is taken for one
        return osp.isfile(target) and osp.getsize(target) == osp.getsize(image)
    if not copy and osp.exists(target) and osp.samefile(target, image):
        return True
    os.makedirs(osp.dirname(target), exist_ok=True)
    part = f'{target}.part'
    # writing through a link that a broken run left would change the source
    if osp.lexists(part):
        os.remove(part)
    if copy:
        AtomicLocalBackend().put(Path(image).read_bytes(), target)
    else:
        # `..` leads up from where the folder really is
        folder = osp.realpath(osp.dirname(target))
        os.symlink(osp.relpath(osp.realpath(image), folder), part)
        os.replace(part, target)
    return True


def find_strays(dst: str, folder: str, plan: dict) -> list:
    """Find what training would read besides the images that were made.

    Args:
        dst: The destination.
        folder: The folder of a split in it, 'train' or 'val'.
        plan: Image files made in the destination.

    Returns:
        Paths of images and of class folders.
    """
    dataset = CustomDataset(data_root=dst, data_prefix=folder)
    read = {dataset.get_data_info(i)['img_path'] for i in range(len(dataset))}
    read.update(osp.join(dst, folder, name) for name in dataset.CLASSES)
    made = {osp.join(dst, target) for target in plan}
    return sorted(read - made - {osp.dirname(target) for target in made})


def main() -> None:
    args = parse_args()
    source = SOURCES[args.dataset]
    dst = osp.normpath(args.dst)
    plan = {}
    for folder in ('train', 'val'):
        try:
            plan.update(plan_split(source, args.src, folder))
        except ValueError as error:
            raise SystemExit(f'{args.dataset}: {error}: {source.remedy}. '
                             'Nothing was written.') from error

    strays = []
    for target, image in plan.items():
        target = osp.join(dst, target)
        try:
            if not make_image(image, target, args.copy):
                strays.append(target)
        except OSError as error:
            raise SystemExit(
                f"'{target}' cannot be made ({error.strerror}): mend that and "
                'run the same command to complete the rest, with --copy if '
                'the file system has no links.') from error
    for folder in ('train', 'val'):
        strays += find_strays(dst, folder, plan)
    if strays:
        raise SystemExit(
            f"'{dst}' holds {len(strays)} images or folders that are not from "
            f"'{args.src}', first '{strays[0]}': they were left as they are; "
            'remove them and run the same command.')

    command = f'tools/dist_train.sh configs/intr_{args.dataset}_folder.py 4'
    if dst != osp.join('data', args.dataset):
        command += ' --cfg-options ' + ' '.join(
            f'{mode}_dataloader.dataset.data_root={shlex.quote(dst)}'
            for mode in ('train', 'val', 'test'))
    print(f"'{dst}' holds {source.num_train} train and {source.num_val} val "
          f'images of {args.dataset}. Train by: {command}')


if __name__ == '__main__':
    main()
