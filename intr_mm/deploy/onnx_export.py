"""One ONNX file of a classifier and its maps, for any batch and size."""
import json
import math
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
import torch
from mmengine.utils import digit_version
from torch import Tensor, nn

from intr_mm.checkpoints.writing import AtomicLocalBackend
from intr_mm.progress import track
from intr_mm.structures import CellGeometry, infer_cell_geometry
from intr_mm.version import __version__
from .exportable_classifier import ExportableClassifier
from .session import Session

TOLERANCE = 1e-4
# Begins the names of the backbone's nodes in a file.
BACKBONE = 'backbone/'
# Batch, height and width that the graph is recorded with, and those that the
# file is compared at: others, odd ones and a single image among them.
_RECORDED = (2, 160, 224)
_COMPARED = ((1, 224, 224), (3, 333, 517))
_PADDING = (
    'padding_mask, which may be left out, is True where a pixel of inputs is '
    'padding, (B, H, W) or of edges 1; images are padded before the backbone '
    'here, at the right and at the bottom, with zeros')


def export_onnx(model: nn.Module,
                path: str,
                maps: str | int | None = None,
                layer: int = -1,
                opset: int | None = None,
                temperature: float | None = None,
                classes: Sequence[str] | None = None,
                dataset: dict | None = None) -> float:
    """Write an ONNX file that predicts as the model does.

    Inputs and outputs are those of :meth:`ExportableClassifier.forward`, for
    any batch and size; ``padding_mask`` may be left out. Metadata of the file,
    in JSON, hold what is needed beside it, see :func:`describe`.

    Args:
        model: The classifier, in eval mode, on a CPU.
        path: The file, which is written whole or not at all.
        maps, layer: See :class:`ExportableClassifier`.
        opset: Version of ONNX's operators. None takes the exporter's.
        temperature: Divides the logits for scores; the file only names it.
        classes: Names of the classes.
        dataset: What the file says of how images are prepared, as
            :func:`intr_mm.apis.image_inputs.describe_dataset` gives it.

    Returns:
        The largest difference from PyTorch found, at some batches and sizes.

    Raises:
        RuntimeError: If PyTorch is too old, the model cannot be exported, or
            the file does not compute the same.
        ImportError: If a package for it is missing.
    """
    check_requirements()
    graph = ExportableClassifier(model, maps, layer).eval()
    if classes is not None and len(classes) != model.head.num_classes:
        raise ValueError(
            f'{len(classes)} names of classes do not fit a model of '
            f'{model.head.num_classes} classes: give one for each.')
    metadata = describe(graph, temperature, classes, dataset)
    content = _to_onnx(graph, opset, metadata)
    difference = compare(Session(content, 'onnxruntime'), graph)
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f"The file '{path}' is not written, as what it computes differs "
            f'from PyTorch by {difference:.1e} of at most {TOLERANCE:.0e}: '
            'try another opset, or report it with the config.')
    AtomicLocalBackend().put(content, path)
    return difference


def check_requirements() -> None:
    """Require what export needs, see :func:`export_onnx`."""
    if digit_version(torch.__version__) < digit_version('2.9'):
        raise RuntimeError(
            f'Export needs PyTorch 2.9 or newer, but {torch.__version__} is '
            'installed: export in another environment, the file runs in this '
            'one.')
    missing = [
        name for name in ('onnx', 'onnxscript', 'onnxruntime')
        if find_spec(name) is None
    ]
    if missing:
        raise ImportError(f'Export needs {", ".join(missing)}, which cannot '
                          "be imported: run `pip install 'intr_mm[deploy]'`.")


def describe(graph: ExportableClassifier,
             temperature: float | None = None,
             classes: Sequence[str] | None = None,
             dataset: dict | None = None) -> dict:
    """Metadata of a file: how images become ``inputs``, and what outputs mean.

    Args:
        graph, temperature, classes, dataset: See :func:`export_onnx`.

    Returns:
        ``classes``, their names or None; ``preprocessor``, whose ``mean`` and
        ``std`` are those of pixels from 0 to 255, in the order RGB with
        ``to_rgb``; ``cells``, the ``stride`` and ``offset`` that
        :class:`CellGeometry` explains, None where they depend on the size of
        the image; ``temperature``, ``maps``, ``layer`` and what
        :class:`ExportedClassifier` needs.
    """
    model, head = graph.model, graph.model.head
    shown = model.data_preprocessor
    preprocessor = dict(
        to_rgb=shown.to_rgb,
        pad_size_divisor=shown.pad_size_divisor,
        pad_value=shown.pad_value)
    if shown._enable_normalize:
        preprocessor.update(
            mean=shown.mean.flatten().tolist(),
            std=shown.std.flatten().tolist())
    return dict(
        intr_mm=__version__,
        classes=None if classes is None else list(classes),
        preprocessor=preprocessor,
        padding=_PADDING,
        pad_after_backbone=getattr(model, 'pad_after_backbone', False),
        temperature=1. if temperature is None else temperature,
        maps=graph.maps,
        layer=graph.layer,
        cells=None if graph.maps is None else _cells(model),
        head=dict(
            type=type(head).__name__,
            num_classes=head.num_classes,
            num_heads=head.num_heads,
            gives_evidence=head.gives_evidence),
        dataset=dataset)


def _cells(model: nn.Module) -> dict | None:
    found = {
        infer_cell_geometry(model, shape)
        for shape in ((224, 224), (333, 517), (250, 180))
    }
    if len(found) > 1:
        return None
    geometry: CellGeometry = found.pop()
    return dict(stride=geometry.stride, offset=geometry.offset)


class _Part(nn.Module):
    """A method of a module, as a module."""

    def __init__(self, owner: nn.Module, method: str) -> None:
        super().__init__()
        self.owner = owner
        self.method = method

    def forward(self, *inputs: Tensor):
        return getattr(self.owner, self.method)(*inputs)


@torch.no_grad()
def _to_onnx(graph: ExportableClassifier, opset: int | None,
             metadata: dict) -> bytes:
    from onnx import compose, helper
    batch, height, width = _RECORDED
    images = torch.rand(batch, 3, height, width)
    mask = torch.zeros(batch, height, width, dtype=torch.bool)
    feature_map = graph.feature_map(images)

    def export(method: str, inputs: dict[str, Tensor], outputs: list[str]):
        return torch.onnx.export(
            torch.export.export(
                _Part(graph, method),
                tuple(inputs.values()),
                # all but the channels
                dynamic_shapes=(tuple({
                    i: torch.export.Dim.DYNAMIC
                    for i in range(value.dim()) if value.dim() < 4 or i != 1
                } for value in inputs.values()), ),
                strict=False),
            dynamo=True,
            opset_version=opset,
            input_names=list(inputs),
            output_names=outputs,
            verbose=False).model_proto

    try:
        # Two graphs, as the sizes of a feature map are long formulas of those
        # of the images, which every operation behind would repeat.
        first = export('feature_map', dict(inputs=images), ['feature_map'])
        second = export('read',
                        dict(feature_map=feature_map,
                             padding_mask=mask), graph.output_names)
    except Exception as error:  # of many kinds
        reason = str(error).strip().split('\n')[0]
        raise RuntimeError(
            f'{type(graph.model).__name__} with the backbone '
            f'{type(graph.model.backbone).__name__} cannot be exported for '
            f'images of any size ({type(error).__name__}: {reason}): take '
            'another backbone, such as a ResNet, or another opset.') from error
    _name_sizes(first, inputs=('batch', '', 'height', 'width'))
    _name_sizes(
        second,
        feature_map=('batch', '', 'rows', 'columns'),
        padding_mask=('batch', 'height', 'width'))
    first = compose.add_prefix(
        first, BACKBONE, rename_inputs=False, rename_outputs=False)
    proto = compose.merge_models(first, second,
                                 [('feature_map', 'feature_map')])
    del proto.opset_import[1:]  # each graph's own, which are the same
    _leave_guards_out(proto)
    _let_mask_be_left_out(proto)
    helper.set_model_props(
        proto,
        {
            # configs may hold classes in place of their names
            name: json.dumps(value, default=lambda cls: cls.__name__)
            for name, value in metadata.items()
        })
    return proto.SerializeToString()


def _name_sizes(proto, **names: Sequence[str]) -> None:
    """Name the sizes of a graph's inputs, and where its outputs have them.

    The exporter's names mean other sizes in each graph, and engines take those
    of one name to be equal.
    """
    graph = proto.graph
    known = {}
    for value in graph.input:
        for dim, name in zip(value.type.tensor_type.shape.dim,
                             names[value.name]):
            if dim.dim_param:
                known.setdefault(dim.dim_param, name)
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in known:
                dim.dim_param = known[dim.dim_param]
            elif dim.dim_param:
                dim.ClearField('dim_param')


def _leave_guards_out(proto) -> None:
    """Leave out where attention's weights that are no numbers become 0, as
    those of a query that sees no key. There is none, as no image is all
    padding, and engines do not fuse attention with that in it."""
    graph = proto.graph
    guards = {node.output[0] for node in graph.node if node.op_type == 'IsNaN'}
    guarded = {
        node.output[0]: node.input[2]
        for node in graph.node
        if node.op_type == 'Where' and node.input[0] in guards
    }
    nodes = [
        node for node in graph.node
        if not {*guards, *guarded}.intersection(node.output)
    ]
    for node in nodes:
        for i, name in enumerate(node.input):
            node.input[i] = guarded.get(name, name)
    del graph.node[:]
    graph.node.extend(nodes)


def _let_mask_be_left_out(proto) -> None:
    """Give the mask a default that says that nothing is padding, and spread
    what is given over the batch."""
    from onnx import TensorProto, helper, numpy_helper
    graph = proto.graph
    inner = 'padding_mask_of_batch'
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == 'padding_mask':
                node.input[i] = inner
    edges = numpy_helper.from_array(np.array([0, 2, 3]), 'padding_mask_edges')
    default = numpy_helper.from_array(
        np.zeros((1, 1, 1), bool), 'padding_mask')
    graph.initializer.extend([edges, default])
    shape, wanted = 'shape_of_inputs', 'shape_of_padding_mask'
    spread = [
        helper.make_node('Shape', ['inputs'], [shape]),
        helper.make_node('Gather', [shape, edges.name], [wanted]),
        helper.make_node('Expand', ['padding_mask', wanted], [inner])
    ]
    nodes = [*spread, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    place = [value.name for value in graph.input].index('padding_mask')
    graph.input[place].CopyFrom(
        helper.make_tensor_value_info(
            'padding_mask', TensorProto.BOOL,
            ['mask_batch', 'mask_height', 'mask_width']))


@torch.no_grad()
def compare(session: Session, graph: ExportableClassifier) -> float:
    """The largest difference of a file from PyTorch, at some batches and
    sizes, with and without padding; relative where values are above 1."""
    draw = torch.Generator().manual_seed(0)
    worst = 0.
    compared = track(_COMPARED, 'Comparing', len(_COMPARED), 'sizes')
    for place, (batch, height, width) in enumerate(compared):
        images = torch.randn(batch, 3, height, width, generator=draw)
        mask = None
        if place % 2:
            mask = torch.zeros(batch, height, width, dtype=torch.bool)
            mask[0, :, width // 2 + 5:] = True
            mask[1, height * 2 // 3:] = True
            images *= ~mask[:, None]
        expected = dict(zip(graph.output_names, graph(images, mask)))
        found = session(images, mask)
        same = slice(None)
        if 'classes' in expected:
            # which may change places where they are all but equal
            same = (expected.pop('classes') == found.pop('classes')).all(1)
        for name, value in expected.items():
            if name in ('attention', 'evidence'):
                value, found[name] = value[same], found[name][same]
            if found[name].shape != value.shape:
                return math.inf
            error = (found[name] - value).abs() / value.abs().clamp(min=1)
            if error.numel():
                worst = max(worst, error.nan_to_num(math.inf).max().item())
    return worst
