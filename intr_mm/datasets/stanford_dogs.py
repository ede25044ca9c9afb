from io import BytesIO

import mat4py
import numpy as np
from mmengine import get_file_backend
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

STANFORDDOGS_CATEGORIES = (
    'Chihuahua', 'Japanese_spaniel', 'Maltese_dog', 'Pekinese', 'Shih-Tzu',
    'Blenheim_spaniel', 'papillon', 'toy_terrier', 'Rhodesian_ridgeback',
    'Afghan_hound', 'basset', 'beagle', 'bloodhound', 'bluetick',
    'black-and-tan_coonhound', 'Walker_hound', 'English_foxhound', 'redbone',
    'borzoi', 'Irish_wolfhound', 'Italian_greyhound', 'whippet',
    'Ibizan_hound', 'Norwegian_elkhound', 'otterhound', 'Saluki',
    'Scottish_deerhound', 'Weimaraner', 'Staffordshire_bullterrier',
    'American_Staffordshire_terrier', 'Bedlington_terrier', 'Border_terrier',
    'Kerry_blue_terrier', 'Irish_terrier', 'Norfolk_terrier',
    'Norwich_terrier', 'Yorkshire_terrier', 'wire-haired_fox_terrier',
    'Lakeland_terrier', 'Sealyham_terrier', 'Airedale', 'cairn',
    'Australian_terrier', 'Dandie_Dinmont', 'Boston_bull',
    'miniature_schnauzer', 'giant_schnauzer', 'standard_schnauzer',
    'Scotch_terrier', 'Tibetan_terrier', 'silky_terrier',
    'soft-coated_wheaten_terrier', 'West_Highland_white_terrier', 'Lhasa',
    'flat-coated_retriever', 'curly-coated_retriever', 'golden_retriever',
    'Labrador_retriever', 'Chesapeake_Bay_retriever',
    'German_short-haired_pointer', 'vizsla', 'English_setter', 'Irish_setter',
    'Gordon_setter', 'Brittany_spaniel', 'clumber', 'English_springer',
    'Welsh_springer_spaniel', 'cocker_spaniel', 'Sussex_spaniel',
    'Irish_water_spaniel', 'kuvasz', 'schipperke', 'groenendael', 'malinois',
    'briard', 'kelpie', 'komondor', 'Old_English_sheepdog',
    'Shetland_sheepdog', 'collie', 'Border_collie', 'Bouvier_des_Flandres',
    'Rottweiler', 'German_shepherd', 'Doberman', 'miniature_pinscher',
    'Greater_Swiss_Mountain_dog', 'Bernese_mountain_dog', 'Appenzeller',
    'EntleBucher', 'boxer', 'bull_mastiff', 'Tibetan_mastiff',
    'French_bulldog', 'Great_Dane', 'Saint_Bernard', 'Eskimo_dog', 'malamute',
    'Siberian_husky', 'affenpinscher', 'basenji', 'pug', 'Leonberg',
    'Newfoundland', 'Great_Pyrenees', 'Samoyed', 'Pomeranian', 'chow',
    'keeshond', 'Brabancon_griffon', 'Pembroke', 'Cardigan', 'toy_poodle',
    'miniature_poodle', 'standard_poodle', 'Mexican_hairless', 'dingo',
    'dhole', 'African_hunting_dog')


@DATASETS.register_module()
class StanfordDogs(BaseDataset):
    """The Stanford Dogs dataset.

    `Stanford Dogs <http://vision.stanford.edu/aditya86/ImageNetDogs/>`_ as
    ``images.tar`` and ``lists.tar`` unpack, or with the lists in a folder of
    their own: ::

        Stanford_Dogs
        ├── Images
        │   ├── n02085620-Chihuahua
        │   │   ├── n02085620_10074.jpg
        │   │   └── ...
        │   └── ...
        ├── train_list.mat      (or lists/train_list.mat)
        └── test_list.mat       (or lists/test_list.mat)

    Args:
        data_root: The root directory of the dataset.
        split: The dataset split, 'train' or 'test'.
        **kwargs: Other keyword arguments of :class:`BaseDataset`.

    Raises:
        ValueError: The split is neither of the two, or its list is damaged.
        FileNotFoundError: The list of the split is missing.
    """

    METAINFO = {'classes': STANFORDDOGS_CATEGORIES}

    def __init__(self, data_root: str, split: str = 'train', **kwargs) -> None:
        if split not in ('train', 'test'):
            raise ValueError(
                f"StanfordDogs has the splits 'train' and 'test', got "
                f"split='{split}'.")
        self.split = split
        self.backend = get_file_backend(data_root, enable_singleton=True)
        ann_files = [f'{split}_list.mat', f'lists/{split}_list.mat']
        present = [
            ann_file for ann_file in ann_files if self.backend.exists(
                self.backend.join_path(data_root, ann_file))
        ]
        if not present:
            raise FileNotFoundError(
                f"'{data_root}' has neither {' nor '.join(ann_files)}: unpack "
                'lists.tar of Stanford Dogs there.')
        super().__init__(
            ann_file=present[0],
            data_root=data_root,
            data_prefix='Images',
            test_mode=split == 'test',
            **kwargs)

    def load_data_list(self) -> list[dict]:
        """Load image paths and ground truth labels.

        Returns:
            The path and the label of each image of the split.

        Raises:
            ValueError: The list is damaged.
        """
        try:
            lists = mat4py.loadmat(BytesIO(self.backend.get(self.ann_file)))
            # the lists are columns, which mat4py reads as rows of one item
            names = np.ravel(lists['file_list']).tolist()
            labels = np.ravel(lists['labels']).tolist()
            if len(names) != len(labels):
                raise ValueError(f'{len(names)} files, {len(labels)} labels')
        # mat4py has no one error for what it cannot read
        except Exception as error:
            raise ValueError(
                f"'{self.ann_file}' is no list of Stanford Dogs ({error}): "
                'unpack lists.tar again.') from error
        return [
            dict(
                img_path=self.backend.join_path(self.img_prefix, name),
                gt_label=int(label) - 1) for name, label in zip(names, labels)
        ]

    def extra_repr(self) -> list[str]:
        """The extra repr information of the dataset."""
        return [f'Root of dataset: \t{self.data_root}']
