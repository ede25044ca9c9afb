import hashlib
import io
import logging
from pathlib import Path

import cv2
import numpy as np
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS
from numpy.lib.format import (dtype_to_descr, open_memmap,
                              write_array_header_1_0)

from intr_mm.checkpoints.writing import AtomicLocalBackend
from intr_mm.progress import track
from .anatomy import (PARTS, SPECIES, attributes_of, differing_parts_of,
                      telling_parts_of)
from .painting import PART_LABELS, draw_scenes, paint


@DATASETS.register_module()
class RingSpecies(BaseDataset):
    """Twelve species of painted birds that differ in few, known parts.

    A procedural data set for fine-grained recognition, drawn from a seed.
    The species stand on a ring, and each differs from its two neighbours in
    exactly one part (see :mod:`.anatomy`); pose, size, colours, light,
    clutter and occluders are nuisance. Since the parts that set a species
    apart are known, so is where a classifier *should* look.

    The classes are balanced. Scene ``i`` depends on ``seed``, ``i`` and
    ``img_size`` alone, not on ``num_samples``, the species or the process;
    another release of OpenCV may round a few pixels differently.

    Each item has, beside ``img`` (uint8, BGR) and ``gt_label``:

    - ``part_mask`` (np.ndarray): (H, W), uint8; 0 off the bird and where an
      occluder hides it, 1 on the bird outside all parts, ``2 + i`` on the
      i-th of crown, beak, collar, breast, wing, tail. A part has its region
      whether its attribute is on or off.
    - ``telling_parts`` (tuple[int]): The two values of ``part_mask`` that set
      the species apart from its neighbours.
    - ``differing_parts`` (tuple[tuple[int]]): For each class, the values of
      ``part_mask`` in which it differs from the species.
    - ``pair_id`` (int): Number of the scene.
    - ``repainted`` (bool): Whether the species is the neighbour's.

    With two birds, ``gt_label``, ``part_mask``, ``telling_parts`` and
    ``differing_parts`` hold one of each for each bird.

    List them in ``meta_keys`` of ``PackInputs`` to carry them to the
    evaluator. Transforms of the image do not move the mask.

    Args:
        num_samples: Number of scenes.
        seed: Source of the scenes, 0 to 2**32 - 1.
        img_size: Height and width of the images in pixels.
        counterfactual: Whether each scene comes twice: as drawn at index ``2 *
            i``, and at ``2 * i + 1`` with one part repainted such that it
            shows a neighbour on the ring, whose label it then has.
        cache_dir: Folder in which the drawn images are kept between runs and
            shared by processes. The file there is named after all it depends
            on. None draws into memory whenever the data set is built.
        num_birds: Number of birds in a scene, 1 or 2. Two are of different
            species and two thirds as large, and all pairs of species come
            equally often.
        **kwargs: Other arguments of :class:`mmpretrain.datasets.BaseDataset`,
            such as ``pipeline``.

    Raises:
        ValueError: If ``num_samples``, ``seed``, ``img_size`` or
            ``num_birds`` is out of range, two birds shall be repainted, or a
            file in ``cache_dir`` has the name of the cache but is none.
    """

    METAINFO = dict(classes=SPECIES)

    def __init__(self,
                 num_samples: int,
                 seed: int,
                 img_size: int = 96,
                 counterfactual: bool = False,
                 cache_dir: str | None = None,
                 num_birds: int = 1,
                 **kwargs) -> None:
        if num_samples < 1:
            raise ValueError('RingSpecies needs num_samples of at least 1, '
                             f'got {num_samples}.')
        if not 0 <= seed < 2**32:
            raise ValueError('RingSpecies needs a seed from 0 to 2**32 - 1, '
                             f'got {seed}.')
        if img_size < 32:
            raise ValueError('RingSpecies needs img_size of at least 32 '
                             'pixels, below which the parts of a bird '
                             f'vanish, got {img_size}.')
        if num_birds not in (1, 2):
            raise ValueError('RingSpecies needs num_birds of 1 or 2, got '
                             f'{num_birds}.')
        if num_birds == 2 and counterfactual:
            raise ValueError('RingSpecies repaints scenes of one bird only: '
                             'leave out num_birds=2 or counterfactual=True.')
        self.num_samples = num_samples
        self.seed = seed
        self.img_size = img_size
        self.counterfactual = counterfactual
        self.num_birds = num_birds
        self.cache_dir = cache_dir
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self) -> list[dict]:
        """Draw the images, or find them in the cache, and list them."""
        order = np.random.RandomState(self.seed).permutation(self.num_samples)
        species = order % len(SPECIES)
        step = np.where(order // len(SPECIES) % 2, -1, 1)
        labels = species[:, None]
        if self.counterfactual:
            neighbour = (species + step) % len(SPECIES)
            labels = np.stack([species, neighbour], axis=1)
        if self.num_birds == 2:
            away = 1 + order // len(SPECIES) % (len(SPECIES) - 1)
            labels = np.stack([species, (species + away) % len(SPECIES)], 1)
            self.pictures = self._load_pictures(labels[:, None])
            return [
                dict(
                    picture=scene,
                    gt_label=pair.tolist(),
                    telling_parts=tuple(map(_telling_values, pair)),
                    differing_parts=tuple(map(_differing_values, pair)),
                    pair_id=scene,
                    repainted=False) for scene, pair in enumerate(labels)
            ]

        self.pictures = self._load_pictures(labels[..., None])
        return [
            dict(
                picture=scene * labels.shape[1] + version,
                gt_label=int(label),
                telling_parts=_telling_values(label),
                differing_parts=_differing_values(label),
                pair_id=scene,
                repainted=bool(version))
            for (scene, version), label in np.ndenumerate(labels)
        ]

    def get_data_info(self, idx: int) -> dict:
        """Get a copy of the image and annotation of a sample.

        Returns:
            See the class; ``ori_shape`` and ``img_shape`` are (H, W).
        """
        info = super().get_data_info(idx)
        picture = self.pictures[info.pop('picture')]
        shape = (self.img_size, self.img_size)
        return dict(
            img=picture['img'].copy(),
            part_mask=picture['part_mask'].copy(),
            ori_shape=shape,
            img_shape=shape,
            **info)

    def get_cat_ids(self, idx: int) -> list[int]:
        """The classes of a sample."""
        return np.atleast_1d(self.get_data_info(idx)['gt_label']).tolist()

    def extra_repr(self) -> list[str]:
        """The extra repr information of the dataset."""
        return [
            f'Number of scenes: \t{self.num_samples}',
            f'Seed: \t{self.seed}',
            f'Counterfactual: \t{self.counterfactual}',
        ]

    def _load_pictures(self, labels: np.ndarray) -> np.ndarray:
        if self.cache_dir is None:
            return self._draw(labels)
        path = Path(self.cache_dir) / self._cache_name()
        if path.is_file():
            try:
                pictures = open_memmap(path, mode='r')
                if (pictures.dtype == self._dtype
                        and pictures.shape == (labels[..., 0].size, )):
                    return pictures
            except (ValueError, EOFError, SyntaxError):
                pass  # what is no array, or is cut
            self._check_cut(path, labels[..., 0].size)
            print_log(
                f"The cache '{path}' of RingSpecies is cut short: it is drawn "
                'anew.',
                'current',
                level=logging.WARNING)
        content = io.BytesIO()
        np.save(content, self._draw(labels))
        AtomicLocalBackend().put(content.getbuffer(), path)
        return open_memmap(path, mode='r')

    def _check_cut(self, path: Path, number: int) -> None:
        """Check that a file is what a death while writing leaves of a cache,
        and nothing else that would be lost."""
        layout = dict(
            descr=dtype_to_descr(self._dtype),
            fortran_order=False,
            shape=(number, ))
        with io.BytesIO() as header, open(path, 'rb') as file:
            write_array_header_1_0(header, layout)
            if header.getvalue().startswith(file.read(header.tell())):
                return
        raise ValueError(
            f"'{path}' has the name of a cache of RingSpecies, but is none: "
            'remove it, or choose another cache_dir.')

    @property
    def _dtype(self) -> np.dtype:
        mask = size = (self.img_size, self.img_size)
        if self.num_birds == 2:
            mask = (2, *size)
        return np.dtype([('img', 'u1', (*size, 3)), ('part_mask', 'u1', mask)])

    def _cache_name(self) -> str:
        pairs = '_pairs' if self.counterfactual else ''
        pairs += '_two_birds' if self.num_birds == 2 else ''
        return (f'seed{self.seed}_{self.num_samples}x{self.img_size}{pairs}_'
                f'{_painter_version()}.npy')

    def _draw(self, labels: np.ndarray) -> np.ndarray:
        """Draw scenes as the species ``labels`` (scenes, versions, birds).

        Returns:
            Records of ``img`` and ``part_mask``, scene by scene.
        """
        pictures = np.empty(labels.shape[:2], self._dtype)
        if is_main_process():
            print_log(
                f'Drawing {pictures.size} images of RingSpecies, seed '
                f'{self.seed}', 'current')
        numbered = track(enumerate(labels), 'Drawing', len(labels), 'scenes')
        for index, versions in numbered:
            scenes = draw_scenes(
                np.random.RandomState([self.seed, index]), self.img_size,
                self.num_birds)
            for version, birds in enumerate(versions):
                image, masks = paint(scenes, list(map(attributes_of, birds)))
                if self.num_birds == 1:
                    masks = masks[0]
                pictures[index, version] = image, masks
        return pictures.ravel()


def _telling_values(label: int) -> tuple[int, ...]:
    return _mask_values(telling_parts_of(label))


def _differing_values(label: int) -> tuple[tuple[int, ...], ...]:
    return tuple(
        _mask_values(differing_parts_of(label, other))
        for other in range(len(SPECIES)))


def _mask_values(parts: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(PART_LABELS[PARTS[part]] for part in parts)


def _painter_version() -> str:
    """Hash all that may change a drawn image besides the arguments."""
    digest = hashlib.sha256(cv2.__version__.encode())
    for source in sorted(Path(__file__).parent.glob('*.py')):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]
