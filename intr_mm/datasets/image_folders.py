"""Folders of images, one for each class: what is in them, and what is not
taken."""
import os
import os.path as osp
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS
from terminaltables import AsciiTable

from .image_file import EXTENSIONS

_SHOWN = 5


@dataclass
class FolderListing:
    """What lies in a folder of class folders; see :func:`list_folder`.

    Args:
        root: The folder.
        images: For each class the paths of its images below the class folder,
            both in order.
        endings: How many files have another ending than images.
        loose: How many images lie in no class folder.
        ignored: Hidden folders, and those that macOS adds to archives.
        unreadable: What is called as images are but is no file: pipes, links
            that lead nowhere.
    """
    root: str
    images: dict[str, list[str]] = field(default_factory=dict)
    endings: Counter = field(default_factory=Counter)
    loose: int = 0
    ignored: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @property
    def num_images(self) -> int:
        """Number of images in all classes."""
        return sum(map(len, self.images.values()))

    def passed_over(self) -> list[str]:
        """What is not taken, each kind in some words."""
        words = [
            f'{count} {"file" if count == 1 else "files"} {ending}'
            for ending, count in sorted(self.endings.items())
        ]
        if self.loose:
            words.append(f'{self.loose} in no class folder')
        if self.ignored:
            words.append(f'ignored: {some(self.ignored)}')
        if self.unreadable:
            words.append(f'{len(self.unreadable)} such as no file: '
                         f'{some(self.unreadable)}')
        return words


def some(names: Sequence[str]) -> str:
    """The first of many names, for a message."""
    more = len(names) - _SHOWN
    return ', '.join(names[:_SHOWN]) + (f' and {more} more' * (more > 0))


def list_folder(root: str,
                extensions: Sequence[str] = EXTENSIONS) -> FolderListing:
    """Look through a local folder of class folders.

    Args:
        root: The folder.
        extensions: Endings of images.

    Returns:
        What is there. Of a class folder, images in deeper folders are taken.

    Raises:
        OSError: A folder cannot be read.
    """
    extensions = tuple(extension.lower() for extension in extensions)
    listing = FolderListing(root)

    def look(name: str, images: list[str], seen: tuple[str, ...]) -> None:
        path = osp.join(root, name)
        for entry in sorted(os.listdir(path)):
            inner, below = osp.join(path, entry), osp.join(name, entry)
            is_folder = osp.isdir(inner)
            if is_folder and (entry.startswith('.') or entry == '__MACOSX'):
                listing.ignored.append(below)
            elif is_folder and osp.realpath(inner) in seen:
                listing.unreadable.append(below)  # a link to itself
            elif is_folder:
                found = images
                if name == '':
                    found = listing.images[entry] = []
                look(below, found, (*seen, osp.realpath(inner)))
            elif entry.startswith('.'):
                continue
            elif not entry.lower().endswith(extensions):
                ending = osp.splitext(entry)[1]
                listing.endings[ending or 'without ending'] += 1
            elif not osp.isfile(inner):
                listing.unreadable.append(below)
            elif name == '':
                listing.loose += 1
            else:
                images.append(below.split(os.sep, 1)[1])

    look('', [], (osp.realpath(root), ))
    for paths in listing.images.values():
        paths.sort()
    return listing


def misnamed(folders: Iterable[str], names: Sequence[str]) -> str | None:
    """The first class folder that has its place in another's name.

    Args:
        folders: Class folders by their labels.
        names: What the classes are called.
    """
    for folder, name in zip(folders, names):
        if folder in names and folder != name:
            return folder
    return None


def listing_table(listings: dict[str, FolderListing]) -> str:
    """What was found for the dataloaders, as a table.

    Args:
        listings: For each name of a dataloader.
    """
    rows = [['', 'folder', 'classes', 'images', 'only here', 'passed over']]
    for name, listing in listings.items():
        others = [
            set(other.images) for other in listings.values()
            if other is not listing
        ]
        alone = [
            cls for cls in listing.images
            if others and not all(cls in other for other in others)
        ]
        rows.append([
            name, listing.root,
            len(listing.images), listing.num_images,
            some(alone), '\n'.join(listing.passed_over())
        ])
    return AsciiTable(rows).table


@DATASETS.register_module()
class ImageFolders(CustomDataset):
    """Images in class folders, as they come from cameras and archives.

    As :class:`mmpretrain.datasets.CustomDataset`, but all image files that can
    be read are taken (``.webp``, ``.tiff`` and so on), hidden folders such as
    ``.ipynb_checkpoints`` and ``__MACOSX`` are no classes, and pipes and links
    that lead nowhere are passed over. The tools tell what was found.
    ``metainfo.classes`` that names the folders decides on their order; other
    names are those of the folders in alphabetical order.

    Args:
        extensions: Endings of images.
        **kwargs: Other arguments of ``CustomDataset``.
    """

    def __init__(self,
                 *args,
                 extensions: Sequence[str] = EXTENSIONS,
                 **kwargs) -> None:
        super().__init__(*args, extensions=extensions, **kwargs)

    def _find_samples(self) -> list[tuple[str, int]]:
        """Paths below ``data_prefix`` and labels.

        Raises:
            ValueError: There are no images, or ``metainfo.classes`` does not
                fit the folders.
        """
        if not self.with_label or '://' in self.img_prefix:
            return super()._find_samples()
        images = list_folder(self.img_prefix, self.extensions).images
        self.folder_to_idx = {name: i for i, name in enumerate(images)}
        if not any(images.values()):
            raise ValueError(f"'{self.img_prefix}' holds no class folder with "
                             'images: put each class into a folder there.')
        if self.CLASSES is None:
            self._metainfo['classes'] = tuple(images)
        elif len(self.CLASSES) != len(images):
            raise ValueError(
                f"'{self.img_prefix}' has {len(images)} class folders, but "
                f'metainfo.classes names {len(self.CLASSES)}: make them fit.')
        elif set(self.CLASSES) == set(images):
            self.folder_to_idx = {n: i for i, n in enumerate(self.CLASSES)}
        else:
            self._check_other_names()
        return [(osp.join(name, path), self.folder_to_idx[name])
                for name, paths in images.items() for path in paths]

    def _check_other_names(self) -> None:
        """Refuse to give a folder the name of another."""
        folder = misnamed(self.folder_to_idx, self.CLASSES)
        if folder is not None:
            raise ValueError(
                f"'{self.img_prefix}' holds the class folder '{folder}', "
                'which metainfo.classes names beside others that are no '
                'folders there: name all folders, or none.')
