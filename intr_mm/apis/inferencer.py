from collections.abc import Iterator, Sequence
from pathlib import Path

import mmcv
import numpy as np
from mmengine.dataset import pseudo_collate
from mmengine.fileio import dump
from mmpretrain.structures import DataSample
from mmpretrain.visualization import UniversalVisualizer

from intr_mm.visualization import Explanation, draw_explanation
from .base_inferencer import BaseINTRInferencer, Classes
from .image_inputs import list_images, read_image
from .results import to_record, unique_stems


class INTRInferencer(BaseINTRInferencer):
    """Classify images with INTR, and say where classes looked.

    It is used as :class:`mmpretrain.ImageClassificationInferencer`. Images
    pass the pipeline of the config's ``test_dataloader``, files are loaded as
    it says, and images of different sizes share a batch.

    Args:
        model: A name from :meth:`list_models`, a config, the path of one, or
            what ``mmpretrain.get_model`` built: ``INTRClassifier``, or
            ``ImageClassifier`` with an ``INTRHead``.
        pretrained: Path or URL of the checkpoint, True for that of the model's
            name. Defaults to True.
        device: Where to run. None leaves the model where it is.
        classes: Names of the classes. None takes those of the checkpoint.
        temperature: Divides the logits, and so recalibrates the scores (`On
            Calibration of Modern Neural Networks
            <https://arxiv.org/abs/1706.04599>`_, ICML 2017): above 1 they
            become less sure. None is 1.
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

    postprocess_kwargs = {'image_maps', 'out_file', 'topk'}

    def __call__(self,
                 inputs,
                 return_datasamples: bool = False,
                 batch_size: int = 1,
                 **kwargs) -> list[dict | DataSample]:
        """Classify images.

        Args:
            inputs: A path or URL; a folder, of which the images directly in it
                are taken; a uint8 array in BGR; or a list of images.
            return_datasamples: Whether to return the data samples of the
                model.
            batch_size: Images in a batch.
            maps: Classes whose attention to give: any of ``'pred'``,
                ``'topN'`` (as ``'top3'``), names and indices. None computes
                none.
            layer: Decoder layer of the maps. -1 means the last.
            image_maps: Whether to give maps on the pixels of the image beside
                those on the cells. Defaults to True.
            out_file: JSON file to write: for each image its path, label,
                class, score, ``topk`` best classes, and cell maps. Defaults to
                None.
            topk: Number of best classes in ``out_file``. Defaults to 5.
            **kwargs: ``show``, ``wait_time`` and ``show_dir`` draw the
                attention if ``maps`` asks for any; without, see
                :class:`mmpretrain.ImageClassificationInferencer`.

        Returns:
            For each image ``pred_scores`` (C, ), ``pred_label``,
            ``pred_score`` and, with names, ``pred_class``. With ``maps`` also
            ``attention_classes`` (list of K indices),
            ``attention_class_names``, ``attention_cells`` (K, heads, h, w),
            each map summing to 1, their ``geometry`` and ``img_shape`` (the
            network's input), and ``attention`` (K, heads, H, W), float32: the
            cells' values interpolated at the pixels of the image as given, 0
            where the pipeline cuts the image off.
        """
        self._check_batch_size(batch_size)
        return super().__call__(inputs, return_datasamples, batch_size,
                                **kwargs)

    def explain(self,
                inputs,
                classes: Classes = ('pred', ),
                layers: Sequence[int] = (-1, ),
                batch_size: int = 1,
                memory: bool = False) -> Iterator[Explanation]:
        """Say where classes looked, image after image.

        Several layers share one pass of the backbone.

        Args:
            inputs: See :meth:`__call__`; also the dicts of a data set without
                a pipeline, which carry ``gt_label``.
            classes: Any of ``'pred'``, ``'gt'``, ``'topN'``, names and
                indices. A class comes once, and ``'gt'`` is passed over where
                an image has no label.
            layers: Decoder layers.
            batch_size: Images in a batch.
            memory: Whether to add :func:`memory_norms`.

        Yields:
            One for each image.
        """
        self._check_batch_size(batch_size)
        spec = self.class_names.resolve(classes)
        images = (read_image(i, self._loader) for i in list_images(inputs))
        for chunk in self._get_chunk_data(images, batch_size):
            batch = [self._prepare(results) for results in chunk]
            asked = spec
            if any('gt_label' not in results for results in chunk):
                asked = [item for item in spec if item != 'gt']
            samples = self._attend(
                pseudo_collate(batch), asked, layers, memory)
            self._recalibrate(samples)
            for results, sample in zip(chunk, samples):
                yield self._placer.explanation(results, sample, layers)

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
            explanation = self._placer.explanation(
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
                    out_file: str | None = None,
                    topk: int = 5) -> list[dict | DataSample]:
        """Turn data samples into results; see :meth:`__call__`."""
        if out_file is not None:
            dump([to_record(p, self.class_names, topk) for p in preds],
                 str(out_file),
                 file_format='json')
        results = super().postprocess(preds, visualization, return_datasamples)
        if return_datasamples:
            return results
        for result, sample in zip(results, preds):
            if 'attention' not in sample:
                continue
            cells = sample.attention[0].numpy()
            labels = sample.attention_classes.tolist()
            result.update(
                attention_classes=labels,
                attention_class_names=[self.class_names[i] for i in labels],
                attention_cells=cells,
                geometry=sample.geometry,
                img_shape=sample.img_shape)
            if image_maps:
                result['attention'] = self._placer.on_image(cells, sample)
        return results
