from collections.abc import Sequence

import torch
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from intr_mm.models import INTRClassifier, INTRHead
from intr_mm.models.utils import make_padding_mask, prepare_images
from intr_mm.visualization import CellGeometry, geometry_of, trace_cells
from intr_mm.visualization.memory_norms import memory_norms


class BatchAttention:
    """Predictions with attention, from one pass of the backbone.

    Padding is masked whatever the classifier. Where cells lie is found in the
    first pass of each input size and remembered.

    Args:
        model: ``INTRClassifier``, or mmpretrain's ``ImageClassifier`` with an
            ``INTRHead``, in eval mode.

    Raises:
        TypeError: If the model has no ``INTRHead``.
    """

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(getattr(model, 'head', None), INTRHead):
            raise TypeError(
                'INTRInferencer needs a model with an INTRHead, but '
                f'{type(model).__name__} has none: take one of '
                "INTRInferencer.list_models(), or mmpretrain's "
                'ImageClassificationInferencer.')
        self.model = model
        self._geometries: dict[tuple[int, int], CellGeometry] = {}

    @torch.no_grad()
    def __call__(self,
                 data: dict,
                 classes: Sequence | None = None,
                 layers: Sequence[int] = (-1, ),
                 memory: bool = False) -> list[DataSample]:
        """Predict a batch.

        Args:
            data: ``inputs``, B images (3, h, w) as the pipeline gives them,
                and ``data_samples``.
            classes: Whose attention to keep, see
                :func:`intr_mm.models.utils.select_classes`. None, the default,
                computes none.
            layers: Decoder layers.
            memory: Whether to keep :func:`memory_norms` beside the attention.

        Returns:
            On the CPU, see :meth:`INTRHead.predict`. If attention is asked
            for, it has the shape (L, K, heads, h, w), and ``geometry`` says
            where its cells lie; ``memory`` has the shape (L, 1 + heads, h, w).
        """
        samples, feats, mask, geometry = self._extract(
            data, locate=classes is not None)
        head = self.model.head
        asked = None
        if classes is not None:
            asked = dict(classes=classes, layer=layers[0])
        samples = head.predict(
            feats, samples, padding_mask=mask, attention=asked)
        if classes is not None:
            self._add_layers(samples, feats, mask, layers)
            if memory:
                self._add_memory(samples, feats, layers)
            for sample in samples:
                sample.set_metainfo(dict(geometry=geometry))
        return [sample.cpu() for sample in samples]

    def _extract(self, data: dict, locate: bool):
        """Features of a batch.

        Returns:
            tuple: Data samples that know the images' sizes, features for the
            head, the padding mask or None, and, where ``locate`` is set, the
            :class:`CellGeometry` of the features.
        """
        inputs, samples = prepare_images(self.model, **data)
        size = tuple(inputs.shape[-2:])
        if locate and size not in self._geometries:
            with trace_cells(self.model) as cells:
                feats = self._features(inputs, samples)
            grid = self.model.head.pre_logits(feats).shape[-2:]
            self._geometries[size] = geometry_of(cells, tuple(grid))
        else:
            feats = self._features(inputs, samples)
        last = feats if isinstance(feats, Tensor) else feats[-1]
        mask = make_padding_mask(samples, last)
        return samples, feats, mask, self._geometries.get(size)

    def _features(self, inputs: Tensor, samples: list[DataSample]):
        if isinstance(self.model, INTRClassifier):
            return self.model.extract_feat(inputs, data_samples=samples)
        return self.model.extract_feat(inputs)

    def _add_layers(self, samples: list[DataSample], feats,
                    mask: Tensor | None, layers: Sequence[int]) -> None:
        """Put the maps of all layers where those of the first are."""
        classes = torch.stack([s.attention_classes for s in samples])
        more = [
            self.model.head.get_attention(
                feats, classes, layer, mask, deciding_only=True)
            for layer in layers[1:]
        ]
        for i, sample in enumerate(samples):
            h, w = sample.attention.shape[-2:]
            maps = [sample.attention, *(maps[i, ..., :h, :w] for maps in more)]
            sample.set_field(torch.stack(maps), 'attention')

    def _add_memory(self, samples: list[DataSample], feats,
                    layers: Sequence[int]) -> None:
        head = self.model.head
        for sample, memory in zip(samples, head.pre_logits(feats)):
            h, w = sample.attention.shape[-2:]
            norms = [
                memory_norms(head, memory[None, :, :h, :w], layer)[0]
                for layer in layers
            ]
            sample.set_field(torch.stack(norms), 'memory')
