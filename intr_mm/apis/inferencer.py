import logging
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from numbers import Integral, Real
from pathlib import Path
from threading import RLock, current_thread, main_thread

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.fileio import dump
from mmengine.logging import print_log
from mmpretrain.apis import ImageClassificationInferencer, list_models
from mmpretrain.apis.base import ModelType
from mmpretrain.structures import DataSample
from mmpretrain.visualization import UniversalVisualizer

from intr_mm.checkpoints import stored_temperature
from intr_mm.datasets.image_file import UnreadableImageError
from intr_mm.deploy import ExportedClassifier
from intr_mm.models import BaseExplainingHead, explain_batch
from intr_mm.progress import track
from intr_mm.structures import Explanation
from intr_mm.visualization import draw_explanation
from intr_mm_flags import check_file, check_folder
from .class_names import ClassNames
from .image_inputs import (build_pipeline, is_folder, list_images, read_image,
                           unique_stems, visible_region)
from .pretrained import open_model
from .results import add_findings, place_on_image, recalibrate, to_record

Classes = str | int | Sequence[str | int]
# on pixels, 1 GB
_MAX_MAP_VALUES = 2**28


class INTRInferencer(ImageClassificationInferencer):
    """Classify images with INTR, and say where classes looked.

    It is used as :class:`mmpretrain.ImageClassificationInferencer`. Images
    pass the pipeline of the config's ``test_dataloader``, files are loaded as
    it says, and images of different sizes share a batch.

    Args:
        model: A name from :meth:`list_models`, a config, the path of one, or
            what ``mmpretrain.get_model`` built: ``INTRClassifier``, or
            ``ImageClassifier`` with an ``INTRHead``. Also the path of a file
            of :func:`intr_mm.deploy.export_onnx`, or an
            :class:`ExportedClassifier`.
        pretrained: Path or URL of the checkpoint, which has to fit in every
            weight. True, the default, is that of the model's name or config,
            False draws weights at random. With an exported file, the config
            tells how images are prepared.
        device: Where to run. None leaves the model where it is.
        classes: Names of the classes. None takes those of the checkpoint.
        temperature: Divides the logits, and so recalibrates the scores (`On
            Calibration of Modern Neural Networks
            <https://arxiv.org/abs/1706.04599>`_, ICML 2017): above 1 they
            become less sure. None takes the one beside the checkpoint, as
            ``tools/analysis_tools/fit_temperature.py`` puts it there, the one
            that an exported file names, or 1.
        img_size: Pixels of the shorter edge to which images are resized before
            the pipeline. None does it only for data sets that draw images of
            one size, as RingSpecies.
        **kwargs: Other arguments of
            :class:`mmpretrain.ImageClassificationInferencer`.

    Example:
        >>> from intr_mm.apis import INTRInferencer
        >>> inferencer = INTRInferencer('configs/intr_demo.py', 'epoch_4.pth')
        >>> result, = inferencer('bird.png', maps=('pred', 'top3'))
        >>> result['attention'].shape  # classes, heads, height, width
        (4, 4, 96, 96)
    """

    forward_kwargs = {'maps', 'layer'}
    postprocess_kwargs = {'image_maps', 'out_file', 'topk'}

    def __init__(self,
                 model: ModelType,
                 pretrained: bool | str = True,
                 device: str | torch.device | None = None,
                 classes: Sequence[str] | None = None,
                 temperature: float | None = None,
                 img_size: int | None = None,
                 **kwargs) -> None:
        if temperature is not None and not (isinstance(temperature, Real)
                                            and 0 < temperature < math.inf):
            raise ValueError(
                f'temperature has to be a number above 0, got {temperature}.')
        if img_size is not None:
            _check_count('img_size', img_size)
        self._img_size = img_size
        # Tracing the cells hooks into the model, and figures share a state.
        self._lock = RLock()
        placing = {
            name: kwargs.pop(name)
            for name in ('device_map', 'offload_folder') if name in kwargs
        }
        model, path = open_model(model, pretrained, device, kwargs)
        if isinstance(model, ExportedClassifier):
            temperature = temperature or model.temperature
        elif temperature is None and path is not None:
            temperature = stored_temperature(path)
        self.temperature = temperature
        super().__init__(
            model, False, device=device, classes=classes, **placing)
        head = getattr(self.model, 'head', None)
        if not isinstance(head, BaseExplainingHead):
            raise TypeError(
                'INTRInferencer needs a model with an INTRHead, but '
                f'{type(self.model).__name__} has none: take one of '
                "INTRInferencer.list_models(), or mmpretrain's "
                'ImageClassificationInferencer.')
        if classes is None and len(self.classes or ()) != head.num_classes:
            self.classes = None  # those of the data set, not of this model
        if self.temperature is not None and head.multi_label:
            raise ValueError(
                f'temperature={self.temperature} divides the logits of '
                f'classes that compete, which those of {type(head).__name__} '
                'do not: leave it out.')
        self.class_names = ClassNames(self.classes, head.num_classes)
        self._regions: dict[tuple[int, int], tuple[slice, slice]] = {}

    def __call__(self,
                 inputs,
                 return_datasamples: bool = False,
                 batch_size: int = 1,
                 strict: bool | None = None,
                 **kwargs) -> list[dict | DataSample]:
        """Classify images; several threads may do so.

        Args:
            inputs: A path or URL; a folder, of which the images directly in it
                are taken; an array, BGR or grey, of any real type; a PIL
                image; or a list of images.
            return_datasamples: Whether to return the data samples of the
                model.
            batch_size: Images in a batch.
            strict: Whether to stop at an image that cannot be read. Otherwise
                it is named and counted in the log, listed in ``out_file`` with
                its ``error``, and left out of the results. None stops, except
                in a folder.
            maps: Classes whose attention to give: any of ``'pred'``,
                ``'topN'`` (as ``'top3'``), names and indices. None computes
                none.
            layer: Decoder layer of the maps. -1 means the last.
            image_maps: Whether to give maps on the pixels of the image beside
                those on the cells. Defaults to True.
            out_file: JSON file to write: for each image its path, label,
                class, score, ``topk`` best classes, and cell maps of attention
                and of evidence; those that cannot be read come last. Defaults
                to None.
            topk: Number of best classes in ``out_file``. Defaults to 5.
            **kwargs: ``show``, ``wait_time`` and ``show_dir`` draw the
                attention if ``maps`` asks for any; without, see
                :class:`mmpretrain.ImageClassificationInferencer`.

        Returns:
            For each image ``pred_scores`` (C, ), ``pred_label``,
            ``pred_score`` and, with names, ``pred_class``, lists where several
            classes can be true. With ``maps`` also
            ``attention_classes`` (list of K indices),
            ``attention_class_names``, ``attention_cells`` (K, heads, h, w),
            each map summing to 1, their ``geometry`` and ``img_shape`` (the
            network's input), and ``attention`` (K, heads, H, W), float32: the
            cells' values interpolated at the pixels of the image as given, 0
            where the pipeline cuts the image off; of an image so large that
            they would take more than 1 GB, at the pixels of the image reduced.
            ``even_score`` is the
            predicted class's score if all heads of the last layer looked
            evenly, where the head can tell. A head that gives evidence adds
            ``evidence_cells`` (K, heads, h, w), which sum to the classes'
            logits before a temperature divides them, and ``found_mass`` (K, ),
            the mean sum of a head's map.
        """
        _check_count('batch_size', batch_size)
        _, forward_kwargs, visualize_kwargs, postprocess_kwargs = (
            self._dispatch_kwargs(**kwargs))
        _check_count('topk', kwargs.get('topk', 1))
        if kwargs.get('out_file') is not None:
            check_file(kwargs['out_file'])
        if kwargs.get('show_dir') is not None:
            check_folder(os.fspath(kwargs['show_dir']))
        images = list_images(inputs)
        if strict is None:
            strict = not is_folder(inputs)
        unreadable = None if strict else {}
        batches = self.preprocess(images, batch_size, unreadable)
        if current_thread() is main_thread():
            # bars are no business of several threads
            batches = track(batches, 'Inference',
                            -(-len(images) // batch_size), 'batches')
        preds = []
        for data in batches:
            preds.extend(self.forward(data, **forward_kwargs))
        failed = unreadable or {}
        read = [image for i, image in enumerate(images) if i not in failed]
        with self._lock:
            pictures = self.visualize(read, preds, **visualize_kwargs)
        return self.postprocess(
            preds,
            pictures,
            return_datasamples,
            errors=[
                dict(path=_path_of(images[i]), error=failed[i]) for i in failed
            ],
            **postprocess_kwargs)

    def preprocess(self,
                   inputs: Sequence,
                   batch_size: int = 1,
                   unreadable: dict[int, str] | None = None):
        """Load images and send them through the pipeline.

        Args:
            inputs: Images, see :meth:`__call__`.
            batch_size: Images in a batch.
            unreadable: Receives the place of each image that cannot be read
                among the inputs, and the reason. None raises.

        Yields:
            dict: ``inputs`` and ``data_samples``, lists of ``batch_size``.
        """
        images = map(self._prepare, self._read(inputs, unreadable))
        yield from map(pseudo_collate,
                       self._get_chunk_data(images, batch_size))

    def forward(self,
                inputs: dict,
                maps: Classes | None = None,
                layer: int = -1) -> list[DataSample]:
        """Predict a batch of :meth:`preprocess`; see :meth:`__call__`.

        Returns:
            With ``attention`` of shape (1, K, heads, h, w) if asked for.
        """
        classes = None if maps is None else self.class_names.resolve(maps)
        samples = self._explain(inputs, classes, (layer, ))
        for sample in samples:
            sample.set_metainfo(dict(attention_layer=layer))
        return samples

    def explain(
            self,
            inputs,
            classes: Classes = ('pred', ),
            layers: Sequence[int] = (-1, ),
            batch_size: int = 1,
            memory: bool = False,
            unreadable: dict[int, str] | None = None) -> Iterator[Explanation]:
        """Say where classes looked, image after image.

        Several layers share one pass of the model.

        Args:
            inputs: See :meth:`__call__`; also the dicts of a data set without
                a pipeline, which carry ``gt_label``.
            classes: Any of ``'pred'``, ``'gt'``, ``'topN'``, names and
                indices. A class comes once, and ``'gt'`` is passed over where
                an image has no label.
            layers: Decoder layers.
            batch_size: Images in a batch.
            memory: Whether to add :meth:`BaseExplainingHead.memory_norms`.
            unreadable: Receives the place of each image that cannot be read
                among the inputs, and the reason; it is passed over. None
                raises.

        Yields:
            One for each image that is read. Its name is the ``name`` of a
            dict, or the stem of its path.

        Raises:
            ValueError: Of an image without a label, only ``'gt'`` is asked.
        """
        _check_count('batch_size', batch_size)
        spec = self.class_names.resolve(classes)
        layers = [layers] if isinstance(layers, Integral) else list(layers)
        if not layers:
            raise ValueError('layers is empty: name at least one.')
        images = self._read(list_images(inputs), unreadable)
        for chunk in self._get_chunk_data(images, batch_size):
            batch = [self._prepare(results) for results in chunk]
            asked = spec
            if 'gt_label' not in chunk[0]:
                asked = [item for item in spec if item != 'gt']
                if spec and not asked:
                    name = chunk[0].get('img_path')
                    raise ValueError(
                        f"Image{f' {name!r}' if name else ''} has no label, "
                        "which the class 'gt' stands for: name classes, "
                        "'pred' or 'topN'.")
            samples = self._explain(
                pseudo_collate(batch), asked, layers, memory)
            for results, sample in zip(chunk, samples):
                yield self._explanation(results, sample, layers)

    def visualize(self,
                  ori_inputs: Sequence,
                  preds: list[DataSample],
                  show: bool = False,
                  wait_time: float = 0,
                  show_dir: str | None = None,
                  **kwargs) -> list[np.ndarray] | None:
        """Draw where classes looked, or predictions alone without maps.

        Args:
            ori_inputs: Images, see :meth:`__call__`.
            preds: From :meth:`forward`.
            show: Whether to open windows.
            wait_time: Seconds that a window stays, 0 is until a key is
                pressed.
            show_dir: Folder to write to.
            **kwargs: Passed on where there are no maps.

        Returns:
            RGB pictures, if any were asked for.
        """
        if not show and show_dir is None:
            return None
        if show_dir is not None:
            Path(show_dir).mkdir(parents=True, exist_ok=True)
        if not preds or 'attention' not in preds[0]:
            return super().visualize(
                ori_inputs,
                preds,
                show=show,
                wait_time=wait_time,
                show_dir=show_dir,
                **kwargs)
        self.visualizer = self.visualizer or UniversalVisualizer()
        pictures = []
        stems = unique_stems([p.get('img_path') or '' for p in preds])
        for input_, sample, stem in zip(ori_inputs, preds, stems):
            explanation = self._explanation(
                read_image(input_, self._loader), sample,
                (sample.attention_layer, ))
            pictures.append(draw_explanation(explanation, self.classes))
            if show_dir is not None:
                mmcv.imwrite(pictures[-1][..., ::-1],
                             str(Path(show_dir) / f'{stem}.png'))
            if show:
                self.visualizer.show(
                    pictures[-1], win_name=stem, wait_time=wait_time)
        if show:
            self.visualizer.close()
        return pictures

    def postprocess(self,
                    preds: list[DataSample],
                    visualization: list[np.ndarray] | None,
                    return_datasamples: bool = False,
                    image_maps: bool = True,
                    errors: Sequence[dict] = (),
                    out_file: str | None = None,
                    topk: int = 5) -> list[dict | DataSample]:
        """Turn data samples into results; see :meth:`__call__`."""
        if out_file is not None:
            records = [to_record(p, self.class_names, topk) for p in preds]
            dump([*records, *errors], str(out_file), file_format='json')
        results = super().postprocess(preds, visualization, return_datasamples)
        if return_datasamples:
            return results
        for result, sample in zip(results, preds):
            add_findings(result, sample, self.class_names)
            if self.classes is None:
                result.pop('pred_class', None)
            if image_maps and 'attention' in sample:
                result['attention'] = place_on_image(
                    sample, self._region(sample.ori_shape), _MAX_MAP_VALUES)
        return results

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

    def _get_chunk_data(self, inputs: Iterable[dict],
                        chunk_size: int) -> Iterator[list[dict]]:
        """Batches in which all images have a label or none has, as it is all
        or none for a batch in mmpretrain's preprocessors and in 'gt'."""
        for chunk in super()._get_chunk_data(inputs, chunk_size):
            for _, part in groupby(
                    chunk, lambda image: 'gt_label' in image.get(
                        'data_samples', image)):
                yield list(part)

    def _read(self, images: Sequence,
              unreadable: dict[int, str] | None) -> Iterator[dict]:
        for i, image in enumerate(images):
            try:
                yield read_image(image, self._loader)
            except UnreadableImageError as error:
                if unreadable is None:
                    raise
                unreadable[i] = str(error)
                print_log(
                    f'{error} It is passed over.',
                    logger='current',
                    level=logging.ERROR)

    def _prepare(self, results: dict) -> dict:
        """Pipeline of one image, after which its file is still known."""
        data = self.pipeline(dict(results))
        meta = dict(ori_shape=results['img'].shape[:2])
        if results.get('img_path'):
            meta['img_path'] = results['img_path']
        data['data_samples'].set_metainfo(meta)
        return data

    def _explain(self,
                 data: dict,
                 classes: Sequence | None,
                 layers: Sequence[int],
                 memory: bool = False) -> list[DataSample]:
        for layer in layers:  # also where no maps are asked for
            self.model.head.layer_index(layer)
        with self._lock:
            samples, decoded = explain_batch(
                self.model,
                **data,
                classes=classes,
                layers=layers,
                memory=memory)
        samples = [sample.cpu() for sample in samples]
        if self.temperature is not None:
            recalibrate(samples, decoded.logits, self.temperature)
        return samples

    def _explanation(self, results: dict, sample: DataSample,
                     layers: Sequence[int]) -> Explanation:
        rows, columns = self._region(sample.ori_shape)
        depth = self.model.head.num_layers
        return Explanation.from_sample(
            sample,
            image=results['img'][rows, columns, ::-1].astype(np.uint8),
            layers=[layer % depth for layer in layers],
            name=results.get('name')
            or Path(sample.get('img_path') or '').stem)

    def _region(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        if shape not in self._regions:
            self._regions[shape] = visible_region(self.pipeline, shape)
        return self._regions[shape]


def _check_count(name: str, value: int) -> None:
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f'{name} has to be a whole number from 1 on, got '
                         f'{value!r}.')


def _path_of(image) -> str | None:
    if isinstance(image, dict):
        return image.get('img_path')
    return image if isinstance(image, str) else None
