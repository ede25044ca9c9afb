"""An ONNX file in one of the engines that run such."""
import functools
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

ENGINES = ('onnxruntime', 'openvino')
# What OpenVINO calls them, as a hint and as what a processor can do.
_DTYPES = dict(
    float32=('f32', 'FP32'),
    bfloat16=('bf16', 'BF16'),
    float16=('f16', 'FP16'))
# Says that nothing is padding.
_NO_MASK = np.zeros((1, 1, 1), bool)


class Session:
    """A file of :func:`export_onnx`, ready to run on the CPU.

    Args:
        file: Path, or the content.
        engine: ``'onnxruntime'`` or ``'openvino'``. None takes the first that
            is installed and computes in ``dtype``.
        dtype: ``'float32'``; or ``'bfloat16'`` or ``'float16'``, in which
            OpenVINO computes, on a processor that has it. What a file has in
            int8 stays so.
        compile: Whether OpenVINO compiles the file for each shape of a batch
            that comes, which takes about a second, and then runs it faster.
            It keeps the last four.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the engine is not installed.
        ValueError: If there is no such engine, it does not compile, it or the
            processor does not compute in ``dtype``, or the file is none of
            ``export_onnx``.
    """

    def __init__(self,
                 file: str | bytes,
                 engine: str | None = None,
                 dtype: str = 'float32',
                 compile: bool = False) -> None:
        self.engine = choose_engine(engine, dtype, compile)
        self.dtype = dtype
        self.compile = compile
        self.name = 'the exported file'
        if not isinstance(file, bytes):
            self.name = str(file)
            if not Path(file).is_file():
                raise FileNotFoundError(
                    f"Exported file '{file}' does not exist: check the path.")
            file = Path(file).read_bytes()
        start = getattr(self, f'_start_{self.engine}')
        try:
            texts, self.output_names = start(file)
        except Exception as error:  # each engine has its own
            reason = str(error).strip().split('\n')[0]
            raise ValueError(
                f"'{self.name}' cannot be run by {self.engine} ({reason}): "
                'export it again with tools/deployment/export.py.') from error
        if 'intr_mm' not in texts:
            raise ValueError(
                f"'{self.name}' does not say how images are prepared for it: "
                'export the model with tools/deployment/export.py.')
        # ONNX's tools add texts of their own, such as `onnx.infer`.
        self.metadata = {
            key: json.loads(texts[key])
            for key in texts if '.' not in key
        }

    def __call__(self,
                 images: Tensor,
                 mask: Tensor | None = None,
                 names: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Run the file.

        Args:
            images: Shape (B, 3, H, W).
            mask: Bool of shape (B, H, W), True where a pixel is padding.
            names: Which outputs to give. None gives all.

        Returns:
            The outputs.
        """
        names = list(names or self.output_names)
        feed = dict(inputs=np.ascontiguousarray(images.cpu().float().numpy()))
        if mask is not None:
            feed['padding_mask'] = mask.cpu().numpy()
        return {
            name: torch.from_numpy(np.array(value))
            for name, value in zip(names, self._run(feed, names))
        }

    def _start_onnxruntime(self, content: bytes) -> tuple[dict, list[str]]:
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # it warns of the mask's default
        session = onnxruntime.InferenceSession(
            content, options, providers=['CPUExecutionProvider'])
        # else it computes maps also where only logits are asked for
        partial = onnxruntime.RunOptions()
        partial.only_execute_path_to_fetches = True
        self._run = lambda feed, names: session.run(names, feed, partial)
        return (session.get_modelmeta().custom_metadata_map,
                [output.name for output in session.get_outputs()])

    def _start_openvino(self, content: bytes) -> tuple[dict, list[str]]:
        import onnx
        proto = onnx.load_from_string(content)
        # An input with a default is a constant to OpenVINO.
        defaults = proto.graph.initializer
        for default in [d for d in defaults if d.name == 'padding_mask']:
            defaults.remove(default)
        core = openvino_core()
        model = core.read_model(proto.SerializeToString())
        config = dict(
            INFERENCE_PRECISION_HINT=_DTYPES[self.dtype][0],
            INFERENCE_NUM_THREADS=torch.get_num_threads())

        @functools.lru_cache(maxsize=4)
        def compile_for(**shapes: tuple[int, ...]):
            """For inputs of these shapes, for all if there are none."""
            graph = model
            if shapes:
                graph = model.clone()
                if 'padding_mask' not in shapes:
                    _leave_mask_out(graph)
                graph.reshape(shapes)
            return core.compile_model(graph, 'CPU', config)

        if not self.compile:
            compile_for()  # it may fail

        def run(feed: dict, names: list[str]) -> list[np.ndarray]:
            shapes = {}
            if self.compile:
                shapes = {name: value.shape for name, value in feed.items()}
            else:
                feed.setdefault('padding_mask', _NO_MASK)
            outputs = compile_for(**shapes)(feed)
            return [outputs[name] for name in names]

        self._run = run
        return ({
            entry.key: entry.value
            for entry in proto.metadata_props
        }, [output.name for output in proto.graph.output])


def choose_engine(engine: str | None = None,
                  dtype: str = 'float32',
                  compile: bool = False) -> str:
    """The engine that runs a file here; see :class:`Session`."""
    if dtype not in _DTYPES:
        raise ValueError(f'dtype={dtype!r} is not known: use one of '
                         f'{", ".join(_DTYPES)}.')
    if dtype != 'float32':
        if engine == 'onnxruntime':
            raise ValueError(
                f'dtype={dtype!r} is what ONNX Runtime does not compute '
                "in on a CPU: use float32, or engine='openvino'.")
        engine = engine or 'openvino'
    if compile:
        if engine == 'onnxruntime':
            raise ValueError('compile=True is what ONNX Runtime does not do: '
                             "leave it out, or use engine='openvino'.")
        engine = engine or 'openvino'
    installed = [name for name in ENGINES if find_spec(name) is not None]
    if engine is not None and engine not in ENGINES:
        raise ValueError(f'engine={engine!r} is not known: use one of '
                         f'{", ".join(ENGINES)}.')
    if not installed or engine not in (None, *installed):
        raise ImportError(
            f'An exported file runs in {engine or " or ".join(ENGINES)}, '
            'which cannot be imported: run '
            f'`pip install {engine or ENGINES[0]}`.')
    if dtype != 'float32':
        _check_processor(dtype)
    return engine or installed[0]


@functools.cache
def openvino_core():
    """OpenVINO's ``Core``, one for the process.

    Each sets a stack for signals of its own, and restores, when it is freed,
    the one that it found. Of two, the second restores what the first has
    freed, and the next signal that Python handles, as when a worker of a data
    loader ends, is a segmentation fault (OpenVINO 2026.4).
    """
    import openvino
    return openvino.Core()


def _leave_mask_out(graph) -> None:
    """Make a graph of OpenVINO one for images without padding."""
    from openvino import opset13
    mask = graph.input('padding_mask').get_node()
    constant = opset13.constant(_NO_MASK).output(0)
    for target in mask.output(0).get_target_inputs():
        target.replace_source_output(constant)
    graph.remove_parameter(mask)


def _check_processor(dtype: str) -> None:
    """Require a processor that computes in a type, which is but a hint to
    OpenVINO."""
    core = openvino_core()
    if _DTYPES[dtype][1] not in core.get_property('CPU',
                                                  'OPTIMIZATION_CAPABILITIES'):
        name = core.get_property('CPU', 'FULL_DEVICE_NAME')
        raise ValueError(f"dtype='{dtype}' is what this processor ({name}) "
                         'does not compute in: use float32.')
