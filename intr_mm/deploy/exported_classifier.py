from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmpretrain.registry import MODELS, TRANSFORMS
from mmpretrain.structures import DataSample
from torch import Tensor

from intr_mm.models import BaseExplainingHead
from intr_mm.models.base_head import Decoded
from intr_mm.models.data_preprocessor import INTRDataPreprocessor
from intr_mm.models.padding import (image_shapes, mask_outside, pad_maps,
                                    padding_of, places_by_shape, shapes_alone)
from intr_mm.structures import CellGeometry
from .session import Session


@dataclass
class _Outputs(Decoded):
    """Outputs of a file, see :class:`ExportableClassifier`."""
    classes: Tensor | None = None
    attention: Tensor | None = None
    evidence: Tensor | None = None
    even_logits: Tensor | None = None


class _ExportedHead(BaseExplainingHead):
    """Gives the maps that a file has."""
    num_layers = 1

    def __init__(self, file: str, maps: str | int | None, outputs: list[str],
                 num_classes: int, num_heads: int, gives_evidence: bool,
                 test_cfg: dict | None) -> None:
        super().__init__(test_cfg=test_cfg, loss=dict(type='CrossEntropyLoss'))
        self.file = file
        self.held = maps
        self.outputs = outputs
        self.num_classes = num_classes
        self.num_heads = num_heads
        self.gives_evidence = gives_evidence

    def pre_logits(self, *args, **kwargs):
        """See :class:`BaseExplainingHead`."""
        raise NotImplementedError(
            f"'{self.file}' gives no features: take the checkpoint that it "
            'was exported from.')

    decode = rescore = pre_logits

    @property
    def can_rescore(self) -> bool:
        """Whether there is :meth:`rescore_even`."""
        return 'even_logits' in self.outputs

    def rescore_even(self, decoded: _Outputs) -> Tensor:
        """See :class:`BaseExplainingHead`."""
        if decoded.even_logits is None:
            return self.pre_logits(None)
        return decoded.even_logits

    def maps(self,
             decoded: _Outputs,
             classes: Tensor | None = None,
             layer: int = -1) -> Tensor:
        """See :class:`BaseExplainingHead`; of the layer that was exported."""
        self.layer_index(layer)
        return self._of(decoded, decoded.attention, classes)

    def evidence(self,
                 decoded: _Outputs,
                 classes: Tensor,
                 against=None) -> Tensor:
        """See :class:`BaseExplainingHead`."""
        if against is not None and not isinstance(against, Tensor):
            return self.pre_logits(None)
        evidence = self._of(decoded, decoded.evidence, classes)
        if against is None:
            return evidence
        return evidence - self._of(decoded, decoded.evidence, against)

    def _of(self, decoded: _Outputs, maps: Tensor | None,
            classes: Tensor | None) -> Tensor:
        """Maps (B, K, heads, H, W) of classes (B, K) among those held."""
        if maps is None:
            raise ValueError(f"'{self.file}' holds no maps: export it with "
                             '--maps all, or leave maps out.')
        rows = classes
        if classes is None:
            rows = torch.arange(self.num_classes).expand(len(maps), -1)
        if decoded.classes is not None:
            hits = rows[..., None] == decoded.classes[:, None]  # (B, K, held)
            missing = rows[~hits.any(2)]
            if len(missing):
                raise ValueError(
                    f"'{self.file}' holds maps of the best "
                    f'{decoded.classes.size(1)} classes of an image alone, '
                    f'and class {missing[0].item()} was asked for, which is '
                    'none of them: export it with --maps all.')
            rows = hits.int().argmax(2)
        return maps[torch.arange(len(maps))[:, None], rows]


@MODELS.register_module()
class ExportedClassifier(BaseModel):
    """A classifier that runs a file of :func:`export_onnx`, on a CPU.

    It stands in for the model in :class:`INTRInferencer`,
    :func:`explain_batch` and tests, where nothing but predictions and the
    maps in the file are asked for. A model with ``pad_after_backbone`` becomes
    one that runs images of one size together, without padding.

    Args:
        file: The file.
        engine, dtype, compile: See :class:`Session`.
        test_cfg: See :class:`BaseExplainingHead`.
        data_preprocessor: Ignored, for runners that give one: the file says
            how images are normalised.

    Raises:
        ValueError, ImportError, FileNotFoundError: See :class:`Session`.
    """

    def __init__(self,
                 file: str,
                 engine: str | None = None,
                 dtype: str = 'float32',
                 compile: bool = False,
                 test_cfg: dict | None = None,
                 data_preprocessor: dict | None = None) -> None:
        session = Session(file, engine, dtype, compile)
        meta = session.metadata
        super().__init__(INTRDataPreprocessor(**meta['preprocessor']))
        self.session = session
        self.metadata = meta
        head = {k: v for k, v in meta['head'].items() if k != 'type'}
        self.head = _ExportedHead(
            str(file),
            meta['maps'],
            session.output_names,
            test_cfg=test_cfg,
            **head)
        self.temperature = meta['temperature']
        # What inferencers ask a model for.
        self._dataset_meta = dict(classes=meta['classes'])
        if meta['dataset'] is not None:
            _check_transforms(meta['dataset'], str(file))
            self._config = Config(
                dict(test_dataloader=dict(dataset=meta['dataset'])))

    def of_sample(self, sample: DataSample) -> CellGeometry:
        """Where the cells of maps lie, as :class:`TracedCells` say it.

        Raises:
            ValueError: If that depends on the image, which the file cannot
                tell.
        """
        if self.metadata['cells'] is None:
            raise ValueError(
                f"'{self.session.name}' does not say where cells lie, as that "
                'depends on the size of images in its backbone: take the '
                'checkpoint for maps.')
        return CellGeometry(**self.metadata['cells'])

    def decode(self,
               inputs: Tensor,
               data_samples: list[DataSample] | None = None,
               layers: Sequence[int] = (),
               maps: bool = False) -> _Outputs:
        """Outputs for a batch; see :meth:`INTRClassifier.decode`.

        Args:
            inputs: Normalised and padded images, (B, 3, H, W).
            data_samples: Sizes of the images.
            layers: The one layer of the file, 0 or -1, or none.
            maps: Whether to compute its maps.
        """
        for layer in layers:
            self.head.layer_index(layer)
        names = self.session.output_names if maps else ['logits']
        padded = tuple(inputs.shape[-2:])
        shapes = image_shapes(data_samples) or [padded] * len(inputs)
        seen = [padded] * len(inputs)
        if self.metadata['pad_after_backbone']:
            seen = shapes_alone(shapes, self.data_preprocessor)
        outputs = [None] * len(inputs)  # of each image
        for (height, width), places in places_by_shape(seen).items():
            images = inputs[..., :height, :width]
            if len(places) < len(images):
                images = images[places]
            mask = mask_outside([shapes[i] for i in places], (height, width),
                                (height, width))
            found = self.session(images, mask, names)
            for i, place in enumerate(places):
                outputs[place] = {name: found[name][i] for name in names}
        return self._batch(outputs, shapes, seen)

    def _batch(self, outputs: list[dict[str, Tensor]],
               shapes: list[tuple[int, int]],
               seen: list[tuple[int, int]]) -> _Outputs:
        grids = [
            tuple(of_image['attention'].shape[-2:])
            if 'attention' in of_image else (0, 0) for of_image in outputs
        ]
        height, width = (max(edges) for edges in zip(*grids))
        batch = {}
        for name in outputs[0]:
            values = [of_image[name] for of_image in outputs]
            maps = name in ('attention', 'evidence')
            batch[name] = pad_maps(values) if maps else torch.stack(values)
        # stands for its grid
        memory = torch.empty(len(outputs), 0, height, width)
        mask = padding_of(shapes, seen, grids, memory) if height else None
        return _Outputs(
            memory=memory, padding_mask=mask, deciding=None, **batch)

    def forward(self,
                inputs: Tensor,
                data_samples: list[DataSample] | None = None,
                mode: str = 'tensor'):
        """Logits (B, C) with ``mode='tensor'``, data samples with
        ``'predict'``; see :meth:`INTRClassifier.forward`."""
        if mode == 'tensor':
            return self.decode(inputs, data_samples).logits
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        raise ValueError(
            f"'{self.session.name}' cannot be run with mode={mode!r}, only "
            "with 'tensor' or 'predict': train from the checkpoint.")

    def predict(self,
                inputs: Tensor,
                data_samples: list[DataSample] | None = None,
                attention: dict | None = None) -> list[DataSample]:
        """Predictions of a batch; see :meth:`INTRClassifier.predict`."""
        requests = self.head._standing_requests(data_samples)
        if attention is not None:
            requests['attention'] = attention
        decoded = self.decode(inputs, data_samples, maps=bool(requests))
        return self.head.predict_decoded(decoded, data_samples, requests)


def check_exported(classifier: ExportedClassifier, cfg: Config) -> None:
    """Refuse an exported file under the config of another model.

    Raises:
        ValueError: It has another number of classes.
    """
    head = classifier.head
    wanted = (cfg.model.get('head') or {}).get('num_classes')
    if wanted not in (None, head.num_classes):
        raise ValueError(
            f"'{head.file}' tells {head.num_classes} classes apart, but "
            f'model.head.num_classes is {wanted}: give the config that the '
            'file was exported with.')


def _check_transforms(dataset: dict, file: str) -> None:
    """Refuse what is no transform by its name: MMEngine would import and call
    any function that a stranger's file names.

    Raises:
        ValueError: If there is such.
    """
    parts = [dataset['pipeline']]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts.extend(part.values())
            name = part.get('type')
            if name is not None and not _is_transform(name):
                raise ValueError(
                    f"'{file}' names the transform {name!r}, which mmpretrain "
                    'does not have: import what registers it, or give a '
                    'config.')
        elif isinstance(part, (list, tuple)):
            parts.extend(part)


def _is_transform(name: str) -> bool:
    """Whether a transform of mmpretrain, mmcv or mmengine has that name."""
    registry = TRANSFORMS
    while registry is not None:
        if name in registry.module_dict:
            return True
        registry = registry.parent
    return False
