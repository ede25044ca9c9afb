"""An exported file with its backbone in int8."""
import json
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from intr_mm.checkpoints.writing import AtomicLocalBackend
from .onnx_export import BACKBONE, check_requirements
from .session import Session

# Not Add: what residual connections carry through all blocks would be rounded
# in each, by the range of all its channels.
_LAYERS, _OTHERS = ('Conv', 'Gemm', 'MatMul'), ('Relu', 'MaxPool')


def quantize_onnx(file: str,
                  path: str,
                  images: Iterable[Tensor],
                  reduce_range: bool = False,
                  float_layers: int | None = None) -> None:
    """Write an exported file anew, with its backbone in int8.

    Weights have a scale for each channel, activations one for each tensor, of
    the range that they take on an image, in the mean of ``images`` (ONNX
    Runtime's ``quantize_static`` in the format QDQ, which OpenVINO reads as
    well). Sums of residual connections, encoder and head stay in float32: they
    are a small part of the time, and maps of an :class:`EvidenceHead` add up
    to the score as before.

    Args:
        file: A file of :func:`export_onnx`.
        path: The file to write, which is written whole or not at all. It has
            the metadata of the other, and ``quantization``.
        images: Images (1, 3, H, W) as the data preprocessor gives them, some
            hundred that are like those to come.
        reduce_range: Whether weights take 7 bits, so that processors without
            VNNI (AVX2 and AVX-512 alone) cannot overflow where they add up.
        float_layers: How many layers with weights stay in float32, from the
            image on. What they round, all others carry on. None means a fifth
            of them: of a ResNet-50, stem and first stage.

    Raises:
        ValueError: If the file is in int8 already, or there are no images.
        ImportError, FileNotFoundError: As :class:`Session` does.
    """
    check_requirements()
    if 'quantization' in Session(file, 'onnxruntime').metadata:
        raise ValueError(f"'{file}' is in int8 already: give the exported "
                         'file that it was made of.')
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static
    reader = _Reader(images)
    proto = onnx.load(file)
    nodes = [
        node for node in proto.graph.node if node.name.startswith(BACKBONE)
    ]
    weights = {tensor.name for tensor in proto.graph.initializer}
    layers = [
        node for node in nodes
        if node.op_type in _LAYERS and node.input[1] in weights
    ]
    if float_layers is None:
        float_layers = round(len(layers) / 5)
    if float_layers >= len(layers):
        raise ValueError(f"The backbone of '{file}' has {len(layers)} layers, "
                         f'of which {float_layers} cannot stay in float32 '
                         'and others be in int8: give a smaller number.')
    spared = {node.name for node in layers[:float_layers]}
    # It also takes ranges of the head, which may be infinite where cells are
    # padding, and which nobody needs.
    with tempfile.TemporaryDirectory() as folder, np.errstate(all='ignore'):
        written = Path(folder) / 'model.onnx'
        quantize_static(
            proto,
            written,
            reader,
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=[*_LAYERS, *_OTHERS],
            nodes_to_quantize=[
                node.name for node in nodes if node.name not in spared
            ],
            # products of two activations are few, and lose most
            extra_options=dict(MatMulConstBOnly=True, CalibMovingAverage=True))
        proto = onnx.load(written)
    proto.metadata_props.add(
        key='quantization',
        value=json.dumps(
            dict(
                dtype='int8',
                part='backbone',
                num_samples=reader.num_samples,
                reduce_range=reduce_range,
                float_layers=float_layers)))
    AtomicLocalBackend().put(proto.SerializeToString(), path)


class _Reader:
    """Images as ONNX Runtime asks for them."""

    def __init__(self, images: Iterable[Tensor]) -> None:
        self.images = iter(images)
        self.num_samples = 0

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Inputs of the file, or None at the end."""
        image = next(self.images, None)
        if image is None:
            return None
        self.num_samples += 1
        return dict(inputs=image.numpy())


@dataclass
class Comparison:
    """How a file compares with another, over images.

    Args:
        num_samples: How many images.
        agreement: In how many of them the two predict the same class, from 0
            to 1.
        largest: The largest difference of logits.
        typical: The root of their mean square.
        spread: The standard deviation of the other's logits of an image, which
            says what these differences mean.
        time_ratio: Time of the file / time of the other, the median.
    """
    num_samples: int
    agreement: float
    largest: float
    typical: float
    spread: float
    time_ratio: float


@torch.no_grad()
def compare_sessions(session: Session, reference: Session,
                     images: Iterable[Tensor]) -> Comparison:
    """Compare logits and time of two files, image by image in turn.

    Args:
        session: The one, such as in int8.
        reference: The other.
        images: Images (1, 3, H, W) as the data preprocessor gives them.
    """
    logits, times = [], []
    for image in images:
        for one in (session, reference):
            start = time.perf_counter()
            logits.append(one(image, names=['logits'])['logits'])
            times.append(time.perf_counter() - start)
    found, expected = torch.cat(logits[::2]), torch.cat(logits[1::2])
    differences = found - expected
    ratios = np.divide(times[::2], times[1::2])
    return Comparison(
        num_samples=len(found),
        agreement=(
            found.argmax(1) == expected.argmax(1)).float().mean().item(),
        largest=differences.abs().max().item(),
        typical=differences.square().mean().sqrt().item(),
        spread=expected.std(1).mean().item(),
        time_ratio=float(np.median(ratios)))
