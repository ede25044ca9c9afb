import os.path as osp
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import mmcv
import numpy as np
from mmengine.dist import (gather_object, get_dist_info, is_main_process,
                           master_only)
from mmengine.hooks import Hook
from mmengine.visualization import LocalVisBackend, Visualizer
from mmpretrain.registry import HOOKS
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.utils.data import DataLoader

from intr_mm.datasets.image_file import UnreadableImageError, load_image
from intr_mm.models import BaseExplainingHead, explain_batch
from intr_mm.models.utils import check_sizes, select_classes
from intr_mm.structures import Explanation, trace_cells
from intr_mm.visualization import FigureStyle, HTMLReport, draw_explanation
from intr_mm.visualization.figure_files import file_name
from intr_mm.visualization.figures import name_of
from intr_mm.visualization.report_encoding import (EncodedExplanation,
                                                   encode_explanation)
from intr_mm_flags import check_folder
from ..model_utils import unwrap_model

# 1,000 pixels wide: TensorBoard shows no more, and type stays readable.
_STYLE = FigureStyle(width_mm=170, dpi=150)
# Field of the predictions whose maps are drawn.
_FIELD = 'drawing'


@HOOKS.register_module()
class AttentionVisualizationHook(Hook):
    """Draw where classes look, in validation and test.

    A picture has panels for each class: the image, each head of the decoder
    layer, the mean of the heads. Files are called after the sample, the
    predicted class and its score:
    ``attention_val_{index}_{image}_{class}_{score}_{epoch}.png``. TensorBoard
    and other backends receive pictures under names that stay the same from
    epoch to epoch, ``attention_val/{index}_{image}_{true class}``, so that
    there is one place to look at for each image. Distributed runs
    write the pictures that one process would write, each once, at the end of
    the epoch. The maps are those of the prediction itself: the model runs
    once. With test-time augmentation, the first view is asked again and drawn.

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
        check_sizes('AttentionVisualizationHook', interval=interval)
        self.enable = enable
        self.interval = interval
        self.classes = classes
        self.layer = layer
        self.show = show
        self.wait_time = wait_time
        self.out_dir = out_dir
        self.report = report
        self._pictures: list[tuple[str, str, np.ndarray]] = []
        self._encoded: list[tuple[int, EncodedExplanation]] = []
        self._request = ExitStack()

    def before_run(self, runner) -> None:
        """Refuse a model that has no attention to show."""
        model = unwrap_model(runner.model)
        if self.enable and not isinstance(
                getattr(model, 'head', None), BaseExplainingHead):
            raise TypeError(
                'AttentionVisualizationHook shows the attention of an '
                f'INTRHead, but {type(model).__name__} has none; give the '
                'model an INTRHead or set enable=False on the hook.')
        if self.enable:
            model.head.check_request(self.classes, self.layer)
            if self.out_dir is not None:
                check_folder(self.out_dir)

    def before_val_iter(self, runner, batch_idx: int,
                        data_batch: dict) -> None:
        """Ask the model for the maps to draw."""
        self._ask(runner, runner.val_loop.dataloader, batch_idx, data_batch)

    def before_test_iter(self, runner, batch_idx: int,
                         data_batch: dict) -> None:
        """Ask the model for the maps to draw."""
        self._ask(runner, runner.test_loop.dataloader, batch_idx, data_batch)

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

    def _places(self, dataloader: DataLoader, batch_idx: int,
                batch_size: int) -> list[tuple[int, int]]:
        """Place in the batch and index in the data set of what is drawn."""
        if not self.enable:
            return []
        return [(place, index) for place, index in _sample_indices(
            dataloader, batch_idx, batch_size) if index % self.interval == 0]

    def _ask(self, runner, dataloader: DataLoader, batch_idx: int,
             data_batch: dict) -> None:
        if not self.enable or _is_augmented(data_batch):
            return
        samples = data_batch['data_samples']
        if self._places(dataloader, batch_idx, len(samples)):
            model = unwrap_model(runner.model)
            labelled = all('gt_label' in sample for sample in samples)
            self._request.enter_context(
                _ask_maps(model.head, self._spec(labelled), self.layer))
            self._cells = self._request.enter_context(trace_cells(model))

    def _spec(self, labelled: bool) -> list[str | int]:
        return [c for c in self.classes if c != 'gt' or labelled]

    def _draw_batch(self, runner, mode: str, batch_idx: int, data_batch: dict,
                    outputs: Sequence[DataSample]) -> None:
        self._request.close()
        loop = runner.val_loop if mode == 'val' else runner.test_loop
        names = getattr(loop.dataloader.dataset, 'metainfo', {}).get('classes')
        for i, index in self._places(loop.dataloader, batch_idx, len(outputs)):
            explanation = self._explain(runner, data_batch, outputs[i], i,
                                        index)
            picture = draw_explanation(
                explanation, names, name_layer=False, style=_STYLE)
            self._pictures.append(
                (*_picture_names(mode, index, explanation, names), picture))
            if self.report:
                self._encoded.append((index, encode_explanation(explanation)))
        if get_dist_info()[1] == 1:
            self._write(runner, mode, self._pictures)
            self._pictures = []

    def _explain(self, runner, data_batch: dict, output: DataSample,
                 place: int, index: int) -> Explanation:
        model = unwrap_model(runner.model)
        inputs, sample, field = data_batch['inputs'], output, _FIELD
        if _is_augmented(data_batch):
            image = inputs[0][place]  # of the first view
            sample, field = self._ask_again(model, image, output), 'attention'
        else:
            image = inputs[place]
            sample.set_metainfo(
                dict(
                    geometry=self._cells.of_sample(sample),
                    img_shape=tuple(image.shape[-2:])))
        return Explanation.from_sample(
            sample,
            original_image(image, output),
            [self.layer % model.head.num_layers],
            osp.basename(output.get('img_path') or f'sample {index}'),
            field=field)

    def _ask_again(self, model: nn.Module, image: Tensor,
                   output: DataSample) -> DataSample:
        """A prediction with its maps on one view of test-time augmentation."""
        # merged views have scores alone
        scores, several = output.pred_score[None], model.head.multi_label
        decided, = model.head._get_predictions(
            scores.logit() if several else scores.log(), None)
        spec = self._spec('gt_label' in output)
        true = [output.gt_label] if 'gt_label' in output else None
        classes = select_classes(spec, scores, true, [decided.pred_label])
        (sample, ), _ = explain_batch(
            model, [image], [output.new()], classes, layers=(self.layer, ))
        # that of all views
        sample.set_pred_label(decided.pred_label)
        return sample.set_pred_score(output.pred_score)

    def _gather(self, runner, mode: str) -> None:
        # The visualizer writes in the main process only.
        if self.enable and get_dist_info()[1] > 1:
            parts = gather_object(self._pictures)
            self._pictures = []
            if is_main_process():
                pictures = [pair for part in parts for pair in part]
                self._write(runner, mode, pictures)

    def _write(self, runner, mode: str,
               pictures: list[tuple[str, str, np.ndarray]]) -> None:
        step = _step(runner, mode)
        for file, tag, picture in pictures:
            if self.show:
                runner.visualizer.show(
                    picture, win_name=file, wait_time=self.wait_time)
            if self.out_dir is None:
                _add_image(runner.visualizer, file, tag, picture, step)
            else:
                mmcv.imwrite(picture[..., ::-1],
                             osp.join(self.out_dir, f'{file}_{step}.png'))

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


@contextmanager
def _ask_maps(head: BaseExplainingHead, classes: Sequence[str | int],
              layer: int) -> Iterator[None]:
    """Let predictions carry the maps to draw, beside what ``test_cfg`` asks
    for."""
    head.test_cfg[_FIELD] = dict(classes=classes, layer=(layer, ), even=True)
    try:
        yield
    finally:
        del head.test_cfg[_FIELD]


def _picture_names(mode: str, index: int, explanation: Explanation,
                   class_names: Sequence[str] | None) -> tuple[str, str]:
    """Of the file, and for backends that follow a picture over epochs."""
    image = osp.splitext(explanation.name)[0]
    if image == f'sample {index}':
        image = ''
    named = []
    for label in explanation.predicted:
        named += [
            name_of(class_names, label), f'{explanation.scores[label]:.2f}'
        ]
    true = explanation.gt_label
    true = true if isinstance(true, list) else [] if true is None else [true]
    file = file_name('attention', mode, index, image, *named)
    tag = file_name(index, image, *(name_of(class_names, i) for i in true))
    return file, f'attention_{mode}/{tag}'


@master_only
def _add_image(visualizer: Visualizer, file: str, tag: str,
               picture: np.ndarray, step: int) -> None:
    """As :meth:`Visualizer.add_image`, with a name for each kind of
    backend."""
    for backend in visualizer._vis_backends.values():
        if isinstance(backend, LocalVisBackend):
            # by mmcv, as OpenCV goes on where a picture cannot be written
            folder = backend.experiment._img_save_dir
            mmcv.imwrite(picture[..., ::-1],
                         osp.join(folder, f'{file}_{step}.png'))
        else:
            backend.add_image(tag, picture, step)


def _is_augmented(data_batch: dict) -> bool:
    """Whether test-time augmentation gives a batch for each view."""
    return not isinstance(data_batch['data_samples'][0], DataSample)


def original_image(image: Tensor, sample: DataSample) -> np.ndarray:
    """The picture of which the network saw all, at its best resolution.

    It is the file itself where the pipeline has only resized it, else (a
    crop, a flip, an image that was drawn) what the pipeline gave.

    Args:
        image: What the pipeline gave, (3, h, w), 0 to 255, BGR.
        sample: Its metainfo.

    Returns:
        RGB image (H, W, 3), uint8.
    """
    if sample.get('img_path') and not sample.get('flip'):
        height, width = sample.get('ori_shape', (0, 0))[:2]
        scale_x, scale_y = sample.get('scale_factor', (1., 1.))
        resized = np.array([height * scale_y, width * scale_x])
        if np.abs(resized - image.shape[-2:]).max() < 1:
            with suppress(UnreadableImageError):
                original, _ = load_image(sample.img_path)
                if original.shape[:2] == (height, width):
                    return original[..., ::-1]
    return image.permute(1, 2, 0).cpu().numpy().astype(np.uint8)[..., ::-1]


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
