import torch
from mmpretrain.models.utils import ClsDataPreprocessor
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from .utils import check_sizes


@MODELS.register_module()
class INTRDataPreprocessor(ClsDataPreprocessor):
    """Classification preprocessor that remembers the images' sizes.

    Images are normalised first and padded with zeros after, at the right and
    at the bottom, as in DETR. Every data sample receives the metainfo
    ``img_shape``, the (height, width) in pixels of the image itself, and
    ``batch_input_shape``, those of the padded batch (mmdet's names).

    Args:
        **kwargs: Those of :class:`mmpretrain.models.ClsDataPreprocessor`.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        check_sizes(
            'INTRDataPreprocessor', pad_size_divisor=self.pad_size_divisor)
        if self._enable_normalize:
            self._check_normalisation()
        # What is left to do on a batch that is normalised already.
        rest = ('to_onehot', 'num_classes', 'batch_augments')
        self._rest = ClsDataPreprocessor(
            **{key: kwargs[key]
               for key in rest if key in kwargs})

    def _check_normalisation(self) -> None:
        for name in ('mean', 'std'):
            values = getattr(self, name).flatten().tolist()
            if len(values) not in (
                    1, 3) or name == 'std' and not all(value > 0
                                                       for value in values):
                raise ValueError(
                    f'{name} of INTRDataPreprocessor has to be one number or '
                    f'three, for red, green and blue, of std above 0, got '
                    f'{values}.')

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise, pad, and record the sizes.

        Args:
            data: ``inputs``, a list of B images (3, h, w) or a tensor (B, 3,
                H, W), and optionally ``data_samples``.
            training: Whether to apply batch augmentations.

        Returns:
            ``inputs`` of shape (B, 3, H, W) and ``data_samples``.
        """
        shapes = [tuple(image.shape[-2:]) for image in data['inputs']]
        if training and self.batch_augments and len(set(shapes)) > 1:
            raise ValueError(
                'Batch augmentations mix whole images, but this batch holds '
                f'the sizes {sorted(set(shapes))}; let the pipeline end in a '
                'crop or resize to one size.')
        samples = data.get('data_samples')
        if samples is None:
            samples = [DataSample() for _ in shapes]
        batch = self._stack(self.cast_data(data['inputs']))
        out = self._rest(
            dict(data, inputs=batch, data_samples=samples), training)
        batch_input_shape = tuple(out['inputs'].shape[-2:])
        for sample, shape in zip(out['data_samples'], shapes):
            sample.set_metainfo(
                dict(img_shape=shape, batch_input_shape=batch_input_shape))
        return out

    def _stack(self, images: list[Tensor]) -> Tensor:
        # Written into the batch and normalised there: mmpretrain makes six
        # copies of an image on the way.
        divisor = self.pad_size_divisor
        height, width = (-(-max(edges) // divisor) * divisor
                         for edges in zip(*(i.shape[-2:] for i in images)))
        channels = images[0].shape[0]
        batch = torch.empty((len(images), channels, height, width),
                            device=self.device)
        for image, out in zip(images, batch):
            h, w = image.shape[-2:]
            out[:, h:] = self.pad_value
            out[:, :h, w:] = self.pad_value
            out = out[:, :h, :w]
            if self.to_rgb and channels == 3:
                image = image.flip(0)
            out.copy_(image)
            if self._enable_normalize:
                out.sub_(self.mean[:channels]).div_(self.std[:channels])
        return batch
