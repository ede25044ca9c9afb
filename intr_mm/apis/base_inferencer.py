from collections.abc import Sequence
from typing import Union

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader
from mmpretrain.apis import ImageClassificationInferencer, list_models
from mmpretrain.apis.base import ModelType
from mmpretrain.apis.model import ModelHub
from mmpretrain.structures import DataSample

from intr_mm.evaluation import temper
from .batch_attention import BatchAttention
from .class_names import ClassNames
from .image_inputs import build_pipeline, list_images, read_image
from .map_placer import MapPlacer

Classes = Union[str, int, Sequence[Union[str, int]]]


class BaseINTRInferencer(ImageClassificationInferencer):
    """From images to predictions with attention on cells.

    The arguments are those of :class:`INTRInferencer`.
    """

    forward_kwargs = {'maps', 'layer'}

    def __init__(self,
                 model: ModelType,
                 pretrained: bool | str = True,
                 device: str | torch.device | None = None,
                 classes: Sequence[str] | None = None,
                 temperature: float | None = None,
                 img_size: int | None = None,
                 **kwargs) -> None:
        if temperature is not None and not temperature > 0:
            raise ValueError(
                f'temperature has to be above 0, got {temperature}.')
        self.temperature = temperature
        self._img_size = img_size
        if not isinstance(model, BaseModel):
            kwargs = _with_num_classes(model, pretrained, kwargs)
        elif not hasattr(model, '_config'):
            raise ValueError(
                f'{type(model).__name__} does not know its config, hence not '
                'how images are prepared: build it by mmpretrain.get_model, '
                'or pass the config.')
        super().__init__(
            model, pretrained, device=device, classes=classes, **kwargs)
        self._attend = BatchAttention(self.model)
        self.class_names = ClassNames(self.classes,
                                      self.model.head.num_classes)
        self._placer = MapPlacer(self.pipeline,
                                 len(self.model.head.decoder.layers))

    def preprocess(self, inputs: Sequence, batch_size: int = 1):
        """Load images and send them through the pipeline.

        Args:
            inputs: Images, see :meth:`__call__`.
            batch_size: Images in a batch.

        Yields:
            dict: ``inputs`` and ``data_samples``, lists of ``batch_size``.
        """
        images = (self._prepare(read_image(i, self._loader)) for i in inputs)
        yield from map(pseudo_collate,
                       self._get_chunk_data(images, batch_size))

    def forward(self,
                inputs: dict,
                maps: Classes | None = None,
                layer: int = -1) -> list[DataSample]:
        """Predict a batch, in one pass with the attention.

        Args:
            inputs: From :meth:`preprocess`.
            maps: See :meth:`__call__`.
            layer: Decoder layer. -1 means the last.

        Returns:
            With ``attention`` of shape (1, K, heads, h, w) if asked for.
        """
        spec = None if maps is None else self.class_names.resolve(maps)
        samples = self._attend(inputs, spec, (layer, ))
        for sample in samples:
            sample.set_metainfo(dict(attention_layer=layer))
        self._recalibrate(samples)
        return samples

    @staticmethod
    def list_models(pattern: str = 'intr*') -> list[str]:
        """Names of the INTR models.

        Args:
            pattern: Wildcard pattern. 'intr*' means all.

        Returns:
            The names.
        """
        ours = set(list_models('intr*'))
        return [name for name in list_models(pattern) if name in ours]

    def _init_pipeline(self, cfg: Config):
        self._loader, pipeline = build_pipeline(cfg, self._img_size)
        return pipeline

    def _inputs_to_list(self, inputs) -> list:
        return list_images(inputs)

    def _prepare(self, results: dict) -> dict:
        """Pipeline of one image, after which its file is still known."""
        data = self.pipeline(dict(results))
        meta = dict(ori_shape=results['img'].shape[:2])
        if results.get('img_path'):
            meta['img_path'] = results['img_path']
        data['data_samples'].set_metainfo(meta)
        return data

    def _recalibrate(self, samples: list[DataSample]) -> None:
        if self.temperature is not None:
            for sample in samples:
                log_probs = temper(sample.pred_score, self.temperature)
                sample.set_pred_score(log_probs.exp().float())

    @staticmethod
    def _check_batch_size(batch_size: int) -> None:
        # mmpretrain would wait for images for ever.
        if batch_size < 1:
            raise ValueError(f'batch_size has to be 1 or more, got '
                             f'{batch_size}.')


def _with_num_classes(model: ModelType, pretrained: bool | str,
                      kwargs: dict) -> dict:
    """Classes of the checkpoint, where the config leaves them to the data."""
    if isinstance(model, Config):
        cfg = model
    elif str(model).endswith('.py'):
        cfg = Config.fromfile(model)
    else:
        cfg = ModelHub.get(model).config
    head = cfg.model.get('head') or {}
    if head.get('num_classes',
                0) is not None or not isinstance(pretrained, str):
        return kwargs
    meta = CheckpointLoader.load_checkpoint(pretrained, 'cpu').get('meta', {})
    names = meta.get('dataset_meta', {}).get('classes')
    if names is None:
        return kwargs
    head = dict(kwargs.get('head', {}), num_classes=len(names))
    return dict(kwargs, head=head)
