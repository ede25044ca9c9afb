from mmpretrain.models.utils import ClsDataPreprocessor
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample


@MODELS.register_module()
class INTRDataPreprocessor(ClsDataPreprocessor):
    """Classification preprocessor that remembers the images' sizes.

    Images are normalised first and padded with zeros after, at the right and
    at the bottom, as in DETR. Every data sample receives the metainfo
    ``img_shape``, the (height, width) in pixels of the image itself, and
    ``batch_input_shape``, those of the padded batch (mmdet's names).

    Args:
        *args, **kwargs: Those of
            :class:`mmpretrain.models.ClsDataPreprocessor`.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise, pad, and record the sizes.

        Args:
            data (dict): ``inputs``, a list of B images (3, h, w) or a tensor
                (B, 3, H, W), and optionally ``data_samples``.
            training (bool): Whether to apply batch augmentations.

        Returns:
            dict: ``inputs`` of shape (B, 3, H, W) and ``data_samples``.
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
        out = super().forward(dict(data, data_samples=samples), training)
        batch_input_shape = tuple(out['inputs'].shape[-2:])
        for sample, shape in zip(out['data_samples'], shapes):
            sample.set_metainfo(
                dict(img_shape=shape, batch_input_shape=batch_input_shape))
        return out
