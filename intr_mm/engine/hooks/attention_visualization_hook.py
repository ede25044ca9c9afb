import os.path as osp
from collections.abc import Iterator, Sequence

import mmcv
import numpy as np
from mmengine.dist import gather_object, get_dist_info, is_main_process
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.utils.data import DataLoader

from intr_mm.models.utils import select_classes
from intr_mm.visualization import (Explanation, HTMLReport, attend,
                                   draw_explanation, original_image)
from intr_mm.visualization.report_encoding import (EncodedExplanation,
                                                   encode_explanation)
from ..model_utils import unwrap_model


@HOOKS.register_module()
class AttentionVisualizationHook(Hook):
    """Draw where classes look, in validation and test.

    A picture is a row of panels for each class: the image, each head of the
    decoder layer, the mean of the heads. The visualizer's backends receive it
    under a name that stays the same from epoch to epoch. Distributed runs
    write the pictures that one process would write, each once, at the end of
    the epoch. With test-time augmentation, the first view is drawn.

    Args:
        enable: Whether to draw.
        interval: Draw every ``interval``-th sample of the data set, from the
            first on.
        classes: Whose attention to draw: any of ``'pred'``, ``'gt'``,
            ``'topN'`` (such as ``'top3'``) and class indices. A class is drawn
            once, and samples without a true class are drawn without.
        layer: Decoder layer. -1 means the last.
        show: Whether to open a window.
        wait_time: Seconds that the window stays, 0 is until a key is pressed.
            Defaults to 0.
        out_dir: Folder to write to instead of the visualizer's backends.
        report: Whether to write an :class:`HTMLReport` of the same samples at
            the end of the epoch, to ``attention_val_1.html`` in ``out_dir``,
            else in the folder ``vis_data`` of the run.
    """

    def __init__(self,
                 enable: bool = True,
                 interval: int = 500,
                 classes: Sequence[str | int] = ('pred', 'gt'),
                 layer: int = -1,
                 show: bool = False,
                 wait_time: float = 0.,
                 out_dir: str | None = None,
                 report: bool = False) -> None:
        self.enable = enable
        self.interval = interval
        self.classes = classes
        self.layer = layer
        self.show = show
        self.wait_time = wait_time
        self.out_dir = out_dir
        self.report = report
        self._pictures: list[tuple[str, np.ndarray]] = []
        self._encoded: list[tuple[int, EncodedExplanation]] = []

    def before_run(self, runner) -> None:
        """Refuse a model that has no attention to show."""
        model = unwrap_model(runner.model)
        if self.enable and not hasattr(
                getattr(model, 'head', None), 'get_attention'):
            raise TypeError(
                'AttentionVisualizationHook shows the attention of an '
                f'INTRHead, but {type(model).__name__} has none; give the '
                'model an INTRHead or set enable=False on the hook.')

    def after_val_iter(self, runner, batch_idx: int, data_batch: dict,
                       outputs: Sequence[DataSample]) -> None:
        """Draw the batch's samples whose turn it is."""
        self._draw_batch(runner, 'val', batch_idx, data_batch, outputs)

    def after_test_iter(self, runner, batch_idx: int, data_batch: dict,
                        outputs: Sequence[DataSample]) -> None:
        """Draw the batch's samples whose turn it is."""
        self._draw_batch(runner, 'test', batch_idx, data_batch, outputs)

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        """Write the pictures of all processes, and the report."""
        self._gather(runner, 'val')
        self._write_report(runner, 'val')

    def after_test_epoch(self, runner, metrics: dict | None = None) -> None:
        """Write the pictures of all processes, and the report."""
        self._gather(runner, 'test')
        self._write_report(runner, 'test')

    def _draw_batch(self, runner, mode: str, batch_idx: int, data_batch: dict,
                    outputs: Sequence[DataSample]) -> None:
        if not self.enable:
            return
        loop = runner.val_loop if mode == 'val' else runner.test_loop
        dataset = loop.dataloader.dataset
        names = getattr(dataset, 'metainfo', {}).get('classes')
        images = data_batch['inputs']
        # Test-time augmentation gives a batch for each view.
        views = [images] if getattr(images[0], 'ndim', 0) == 3 else images
        for i, index in _sample_indices(loop.dataloader, batch_idx,
                                        len(outputs)):
            if index % self.interval == 0:
                name = f'attention_{mode}_{index}'
                explanation = self._explain(
                    unwrap_model(runner.model), views[0][i], outputs[i], index)
                picture = draw_explanation(
                    explanation, names, name_layer=False)
                self._pictures.append((name, picture))
                if self.report:
                    self._encoded.append(
                        (index, encode_explanation(explanation)))
        if get_dist_info()[1] == 1:
            self._write(runner, mode, self._pictures)
            self._pictures = []

    def _gather(self, runner, mode: str) -> None:
        # The visualizer writes in the main process only.
        if self.enable and get_dist_info()[1] > 1:
            parts = gather_object(self._pictures)
            self._pictures = []
            if is_main_process():
                pictures = [pair for part in parts for pair in part]
                self._write(runner, mode, pictures)

    def _write(self, runner, mode: str,
               pictures: list[tuple[str, np.ndarray]]) -> None:
        step = _step(runner, mode)
        for name, picture in pictures:
            if self.show:
                runner.visualizer.show(
                    picture, win_name=name, wait_time=self.wait_time)
            if self.out_dir is None:
                runner.visualizer.add_image(name, picture, step=step)
            else:
                mmcv.imwrite(picture[..., ::-1],
                             osp.join(self.out_dir, f'{name}_{step}.png'))

    def _write_report(self, runner, mode: str) -> None:
        if not (self.enable and self.report):
            return
        parts = gather_object(self._encoded)
        self._encoded = []
        if not is_main_process():
            return
        loop = runner.val_loop if mode == 'val' else runner.test_loop
        metainfo = getattr(loop.dataloader.dataset, 'metainfo', {})
        name = f'attention_{mode}_{_step(runner, mode)}'
        report = HTMLReport(metainfo.get('classes'), title=name)
        encoded = [pair for part in parts for pair in part]
        for _, explanation in sorted(encoded, key=lambda pair: pair[0]):
            report.add_encoded(explanation)
        folder = self.out_dir or osp.join(runner.log_dir, 'vis_data')
        report.write(osp.join(folder, f'{name}.html'))

    def _explain(self, model: nn.Module, image: Tensor, output: DataSample,
                 index: int) -> Explanation:
        """Where the classes asked for look in one sample.

        Args:
            model: The classifier.
            image: What the pipeline gave, (3, h, w), 0 to 255, BGR.
            output: The prediction.
            index: Place of the sample in the data set.

        Returns:
            With maps of the hook's layer.
        """
        score = output.pred_score
        label = output.get('gt_label')
        spec = [c for c in self.classes if c != 'gt' or label is not None]
        classes = select_classes(spec, score[None], label)[0].tolist()
        classes = list(dict.fromkeys(classes))
        attention, geometry = attend(model, image, classes, self.layer)
        depth = len(model.head.decoder.layers)
        return Explanation(
            image=original_image(image, output),
            scores=score.cpu().numpy(),
            classes=classes,
            layers=[self.layer % depth],
            maps=attention[None],
            geometry=geometry,
            img_shape=tuple(image.shape[-2:]),
            name=osp.basename(output.get('img_path') or f'sample {index}'),
            gt_label=None if label is None else int(label))


def _step(runner, mode: str) -> int:
    # Iteration-based training stays in epoch 0.
    return (runner.epoch or runner.iter) if mode == 'val' else 0


def _sample_indices(dataloader: DataLoader, batch_idx: int,
                    batch_size: int) -> Iterator[tuple[int, int]]:
    """(place in the batch, index in the data set) of each sample, once.

    mmengine's sampler deals samples to the processes in turn, and repeats some
    to give each process as many; the repeated ones lie past the end.
    """
    rank, world_size = get_dist_info()
    # that of AspectRatioSampler
    order = getattr(dataloader.sampler, 'order',
                    range(len(dataloader.dataset)))
    for i in range(batch_size):
        place = (batch_idx * dataloader.batch_size + i) * world_size + rank
        if place < len(order):
            yield i, order[place]
