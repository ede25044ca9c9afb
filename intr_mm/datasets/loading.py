import logging

import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.logging import print_log
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadIntactImage(LoadImageFromFile):
    """Load an image from file, and notice when the file is damaged.

    OpenCV turns a JPEG file that was cut short into an image with a grey
    rest. Pillow, the default here, reports it.

    **Required Keys:**

    - img_path

    **Modified Keys:**

    - img
    - img_shape
    - ori_shape

    Args:
        imdecode_backend (str): The image decoding backend. Defaults to
            'pillow'.
        ignore_empty (bool): Whether to name and count a damaged or missing
            file in the log, and let the dataset take another image in its
            place. For training only. Defaults to False, which raises.
        **kwargs: Same as :class:`mmcv.transforms.LoadImageFromFile`.
    """

    def __init__(self,
                 imdecode_backend: str = 'pillow',
                 ignore_empty: bool = False,
                 **kwargs) -> None:
        super().__init__(imdecode_backend=imdecode_backend, **kwargs)
        self.skip_damaged = ignore_empty
        # shared with the data loading workers
        self.num_damaged = torch.zeros(1, dtype=torch.int64).share_memory_()

    def transform(self, results: dict) -> dict | None:
        """Load an image.

        Args:
            results (dict): Result dict from the dataset.

        Returns:
            dict or None: The result dict with the image (H, W, 3), uint8, or
            None if the file is damaged and ``ignore_empty`` is set.

        Raises:
            OSError: The file is missing or damaged.
        """
        try:
            return super().transform(results)
        except Exception as error:
            reason = str(error).split(' <_io.BytesIO')[0]
            path = results['img_path']
            message = f"Image '{path}' cannot be read ({reason})"
            if not self.skip_damaged:
                raise OSError(
                    f'{message}: replace the file, or take it out of the '
                    'data set.') from error
        self.num_damaged += 1
        # processes other than the first print nothing below this level
        print_log(
            f'{message}: another image takes its place, and '
            f'{self.num_damaged.item()} such files were met so far.',
            logger='current',
            level=logging.ERROR)
        return None
