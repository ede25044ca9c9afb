import numpy as np
from mmpretrain.datasets import CUB
from mmpretrain.registry import DATASETS

from .cub_lists import check_lists, read_list

BOXES, PARTS = 'bounding_boxes.txt', 'parts/part_locs.txt'


@DATASETS.register_module()
class CUBParts(CUB):
    """CUB-200-2011 with the annotated parts and bounding box of each bird.

    Beside what :class:`mmpretrain.datasets.CUB` gives, each sample carries,
    in pixels of the image file:

    - ``part_points`` (np.ndarray): float32 of shape (N, 2), the x and y of
      the N visible of CUB's 15 parts, from ``parts/part_locs.txt``.
    - ``bbox`` (np.ndarray): float32 of shape (4, ), x1, y1, x2, y2 of the
      bird, from ``bounding_boxes.txt``.

    The data set's README does not say where pixels are counted from. Boxes
    begin at 0 and end at the image's width or height, so coordinates are
    taken to count from the image's left and upper edge.

    List ``part_points`` and ``bbox`` in the ``meta_keys`` of ``PackInputs``
    for :class:`PartPointing`. Transforms do not change them.

    Args:
        data_root: Folder of the data set, with ``images``, ``images.txt``,
            ``image_class_labels.txt``, ``train_test_split.txt`` and the two
            files above.
        split: ``'train'`` or ``'test'``.
        **kwargs: Other arguments of ``CUB``.
    """

    def load_data_list(self) -> list[dict]:
        """Load images, labels, parts and boxes.

        Returns:
            One for each image of the split.

        Raises:
            FileNotFoundError: If an annotation file is missing.
            ValueError: If an annotation file is damaged or incomplete.
        """
        check_lists(self.data_root)
        names = self._load_data_from_txt(self.ann_file)
        ids = {
            self.backend.join_path(self.img_prefix, name): index + 1
            for index, name in names.items()
        }
        boxes = self._load_annotation(BOXES)
        parts = self._load_annotation(PARTS)
        data_list = super().load_data_list()
        for info in data_list:
            image_id = ids[info['img_path']]
            for name, table in ((BOXES, boxes), (PARTS, parts)):
                if image_id not in table:
                    raise ValueError(
                        f"'{self._path(name)}' has no line for image "
                        f'{image_id}, which {self.ann_file} lists: take both '
                        'files from one copy of CUB-200-2011.')
            x, y, width, height = boxes[image_id][0]
            info['bbox'] = np.array([x, y, x + width, y + height], np.float32)
            _, points, visible = np.split(parts[image_id], (1, 3), axis=1)
            info['part_points'] = points[visible[:, 0] == 1].astype(np.float32)
        return data_list

    def _path(self, name: str) -> str:
        return self.backend.join_path(self.data_root, name)

    def _load_annotation(self, name: str) -> dict[int, np.ndarray]:
        """Read lines of an image id and four numbers.

        Args:
            name: Path of the file in the data set's folder.

        Returns:
            For each image id its lines, (N, 4).
        """
        path = self._path(name)
        if not self.backend.exists(path):
            raise FileNotFoundError(
                f"CUBParts finds no '{path}': unpack all of CUB-200-2011 into "
                "data_root, or use the type 'CUB', which needs no parts.")
        rows = read_list(path, [float] * 4, 'four numbers')
        table = np.array([(image_id, *values) for image_id, values in rows])
        table = table[table[:, 0].argsort(kind='stable')]
        ids, starts = np.unique(table[:, 0].astype(int), return_index=True)
        return dict(zip(ids, np.split(table[:, 1:], starts[1:])))
