"""Where the cells of a feature grid lie on the image.

A stack of windows (convolutions, poolings, patch embeddings) places its cells
on a regular lattice, but seldom where a plain resize would put them: cell i of
padded convolutions of total stride s is centred on pixel s * i, that of a
patch embedding on the middle of its patch. The lattice follows exactly from
the kernels, strides and paddings that an image really passes, so it is read
from one forward pass.
"""
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from mmcv.cnn.bricks import Conv2dAdaptivePadding
from mmcv.cnn.bricks.transformer import AdaptivePadding
from mmengine.utils import to_2tuple
from mmpretrain.structures import DataSample
from torch import Tensor, nn

Grid = tuple[int, int]
_WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.Unfold, AdaptivePadding)


@dataclass(frozen=True)
class CellGeometry:
    """The centre of cell i lies on input pixel ``stride * i + offset``.

    The same holds for rows and columns. Pixels are counted from 0, and their
    index names their centre.

    Args:
        stride: Distance of neighbouring cells in input pixels; 1 if the cells
            are the pixels.
        offset: Input pixel on which the first cell is centred.
    """
    stride: float
    offset: float

    def centres(self, num_cells: int, img_size: int,
                out_size: int) -> np.ndarray:
        """Pixels of a picture on which cells are centred, along one axis.

        Args:
            num_cells: Number of cells ``n``.
            img_size: Pixels of the network's input without padding.
            out_size: Pixels of the picture, which shows the same at any scale.

        Returns:
            int of shape (n, ).
        """
        pixels = self.stride * np.arange(num_cells) + self.offset
        pixels = (pixels + .5) * out_size / img_size - .5
        return np.clip(np.round(pixels), 0, out_size - 1).astype(int)

    def interpolation(self, num_cells: int, img_size: int,
                      out_size: int) -> np.ndarray:
        """Linear interpolation from cells to the pixels of a picture, along
        one axis; pixels beyond the outer centres take the nearest cell.

        Args:
            num_cells: Number of cells ``n``.
            img_size: Pixels of the network's input without padding.
            out_size: Pixels ``N`` of the picture.

        Returns:
            float64 of shape (N, n); each row sums to 1.
        """
        pixels = (np.arange(out_size) + .5) * img_size / out_size - .5
        cells = np.clip((pixels - self.offset) / self.stride, 0, num_cells - 1)
        return np.clip(1 - np.abs(cells[:, None] - np.arange(num_cells)), 0,
                       None)

    def resample(self, maps: np.ndarray, img_shape: tuple[int, int],
                 out_shape: tuple[int, int]) -> np.ndarray:
        """Maps on the pixels of a picture, each cell where it really lies.

        Args:
            maps: Shape (..., h, w), without the cells that are padding.
            img_shape: Height and width in pixels of the network's input
                without padding.
            out_shape: Height H and width W of the picture, which shows the
                same at any scale.

        Returns:
            float32 of shape (..., H, W).
        """
        rows, columns = (
            self.interpolation(*sizes)  # (H, h) and (W, w)
            for sizes in zip(maps.shape[-2:], img_shape, out_shape))
        return (rows @ maps @ columns.T).astype(np.float32)


def remove_forward_overrides(
        module: nn.Module) -> list[tuple[nn.Module, Callable]]:
    """Let modules run the forward pass of their class again.

    mmengine's ``efficient_conv_bn_eval`` and ``activation_checkpointing`` put
    others on the modules themselves. Those of the former call no module
    inside, and so none of its hooks.

    Args:
        module: Changed in place, with all modules in it.

    Returns:
        The modules that had an override, and what to assign to ``forward`` to
        have it back.
    """
    return [(part, vars(part).pop('forward')) for part in module.modules()
            if 'forward' in vars(part)]


class TracedCells:
    """Where the cells of the grids lie that forward passes met.

    Images and grids are named by their height and width.
    """

    def __init__(self) -> None:
        # of each size of images the grids met, of the last pass
        self._passes: dict[Grid, dict[Grid, CellGeometry]] = {}
        self._grids: dict[Grid, CellGeometry] = {}

    def start(self, image: Grid) -> None:
        """Follow images of a size from the backbone on."""
        self._grids = {image: CellGeometry(1., 0.)}
        self._passes[image] = self._grids

    def step(self, module: nn.Module, grid: Grid, output: Tensor) -> None:
        """Follow a window from one grid to the next."""
        kernel, stride, left, new_grid = _window(module, grid, output)
        # Stages have several branches onto one grid, a shortcut beside a
        # block: the first to arrive tells where its cells are.
        if grid not in self._grids or new_grid in self._grids:
            return
        old = self._grids[grid]
        new = {
            CellGeometry(old.stride * s,
                         old.offset + old.stride * ((k - 1) / 2 - p))
            for k, s, p in zip(kernel, stride, left)
        }
        if len(new) > 1:
            raise NotImplementedError(
                f'{type(module).__name__} places its cells differently in '
                f'rows and columns for a feature map of {grid}: {new}; give '
                'the model square kernels and strides, and square images if '
                'its padding adapts to them.')
        self._grids[new_grid] = new.pop()

    def of_sample(self, sample: DataSample) -> CellGeometry:
        """Where the cells of a sample's maps lie, of which the model says its
        part in the pass as ``traced``; else its last pass counts, and the
        sample's ``grid``."""
        if 'traced' in sample:
            return self.geometry(sample.traced[1], sample.traced[0])
        return self.geometry(sample.grid)

    def geometry(self, grid: Grid, image: Grid | None = None) -> CellGeometry:
        """Where the cells of a grid lie on images of a size, by default those
        that came last.

        Raises:
            ValueError: If no window leads to the grid.
        """
        grids = self._grids if image is None else self._passes.get(image, {})
        if grid not in grids:
            raise ValueError(
                f'No convolution, pooling or unfolding leads to the feature '
                f'grid {grid}, so its cells cannot be placed on the image; '
                f'the grids met are {list(grids)}, use a feature map of one '
                'of them.')
        return grids[grid]


@contextmanager
def _plain_backbone(model: nn.Module) -> Iterator[None]:
    """Have every module of the backbone called, with its hooks: not so where
    it is compiled, or mmengine put a forward pass of its own there."""
    backbone = model.backbone
    model.backbone = getattr(backbone, '_orig_mod', backbone)
    overrides = remove_forward_overrides(model.backbone)
    try:
        yield
    finally:
        for module, forward in overrides:
            module.forward = forward
        model.backbone = backbone


@contextmanager
def trace_cells(model: nn.Module) -> Iterator[TracedCells]:
    """Follow the cells of every feature grid through forward passes.

    Args:
        model: Classifier with a ``backbone``.

    Yields:
        Filled by each forward pass under the context, from the image that
        enters the backbone to the coarsest feature map. An exported model
        knows its cells, and stands for them.
    """
    if hasattr(model, 'of_sample'):
        yield model
        return
    cells = TracedCells()

    def start(_, args):
        cells.start(tuple(args[0].shape[-2:]))

    def step(module, args, output):
        cells.step(module, tuple(args[0].shape[-2:]), output)

    with _plain_backbone(model):
        handles = [model.backbone.register_forward_pre_hook(start)]
        handles += [
            module.register_forward_hook(step) for module in model.modules()
            if isinstance(module, _WINDOWS)
        ]
        try:
            yield cells
        finally:
            for handle in handles:
                handle.remove()


def infer_cell_geometry(
        model: nn.Module,
        input_shape: Grid = (224, 224),
) -> CellGeometry:
    """Geometry of the feature map that the head of a classifier receives.

    The model is left as it was found.

    Args:
        model: ``INTRClassifier`` or mmpretrain's ``ImageClassifier``, without
            a distributed wrapper.
        input_shape: Height and width of the image of zeros that is sent
            through backbone and neck.

    Returns:
        Stride and offset in input pixels.

    Raises:
        ValueError: If there is no feature map, or it is not made by windows.
    """
    modes = {module: module.training for module in model.modules()}
    image = next(model.parameters()).new_zeros(1, 3, *input_shape)
    try:
        model.eval()
        with torch.no_grad(), trace_cells(model) as cells:
            feats = model.extract_feat(image)
    finally:
        for module, mode in modes.items():
            module.training = mode
    last = feats if isinstance(feats, Tensor) else feats[-1]
    if last.dim() != 4:
        raise ValueError(
            f'{type(model.backbone).__name__} yields the shape '
            f'{tuple(last.shape)}, not a feature map (B, C, H, W); remove the '
            "pooling neck, or set out_type='featmap' on a transformer "
            'backbone.')
    return cells.geometry(tuple(last.shape[-2:]))


def _window(module: nn.Module, grid: Grid, output: Tensor):
    """Kernel, stride, left padding and output grid of a module, (y, x)."""
    if isinstance(module, AdaptivePadding):
        total = module.get_pad_shape(grid)
        before = [p // 2 if module.padding == 'same' else 0 for p in total]
        return (1, 1), (1, 1), before, tuple(output.shape[-2:])
    dilation = to_2tuple(getattr(module, 'dilation', 1))
    kernel = [
        d * (k - 1) + 1
        for d, k in zip(dilation, to_2tuple(module.kernel_size))
    ]
    stride = to_2tuple(module.stride)
    # the second is timm's, which need not be installed
    if (isinstance(module, Conv2dAdaptivePadding)
            or type(module).__name__ == 'Conv2dSame'):
        padding = [
            max((math.ceil(n / s) - 1) * s + k - n, 0) // 2
            for n, s, k in zip(grid, stride, kernel)
        ]
    elif isinstance(module.padding, str):
        padding = [(k - 1) // 2 if module.padding == 'same' else 0
                   for k in kernel]
    else:
        padding = to_2tuple(module.padding)
    if isinstance(module, nn.Unfold):
        new_grid = tuple((n + 2 * p - k) // s + 1
                         for n, p, k, s in zip(grid, padding, kernel, stride))
    else:
        new_grid = tuple(output.shape[-2:])
    return kernel, stride, padding, new_grid
