"""What the tools in ``tools/model_converters`` share."""
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.fileio import put
from mmengine.runner import CheckpointLoader, save_checkpoint
from safetensors.torch import save as to_safetensors
from torch import Tensor

from intr_mm.utils import ForeignWeights

_WHOLE_OR_NOT_AT_ALL = dict(backend='AtomicLocalBackend')


def save_weights(state_dict: dict[str, Tensor],
                 filename: str,
                 key: str = 'state_dict') -> None:
    """Write weights, whole or not at all.

    Args:
        state_dict: The weights.
        filename: Path. With the ending ``.safetensors`` it becomes such a
            file, else one of PyTorch.
        key: Where a file of PyTorch holds the weights.
    """
    if filename.endswith('.safetensors'):
        content = to_safetensors({
            name: tensor.contiguous()
            for name, tensor in state_dict.items()
        })
        put(content, filename, backend_args=_WHOLE_OR_NOT_AT_ALL)
    else:
        save_checkpoint({key: state_dict},
                        filename,
                        backend_args=_WHOLE_OR_NOT_AT_ALL)


def read_checkpoint(src: str) -> dict:
    """Read a checkpoint, or end the tool with what is wrong with the file.

    Args:
        src: Path or URL.

    Returns:
        Content of the file.

    Raises:
        SystemExit: If it cannot be read, in one sentence.
    """
    try:
        return CheckpointLoader.load_checkpoint(src, 'cpu')
    except (OSError, RuntimeError) as error:
        reason = str(error).rstrip('.')
        raise SystemExit(f'{reason}; nothing was written.') from error


@contextmanager
def refuse_in_one_sentence(src: str) -> Iterator[None]:
    """End the tool with what its checks say of a file.

    Args:
        src: The file that is converted.

    Raises:
        SystemExit: If the file is not what it should be, in one sentence.
    """
    try:
        yield
    except ValueError as error:
        raise SystemExit(f"'{src}' was not converted: {error}; nothing was "
                         'written.') from error


def report_conversion(foreign: ForeignWeights, checkpoint: dict,
                      dst: str) -> None:
    """Print what became of a checkpoint.

    Args:
        foreign: What was made of it.
        checkpoint: Content of the file.
        dst: Path that was written.
    """
    print(foreign)
    if 'model' in checkpoint or 'state_dict' in checkpoint:
        others = sorted(checkpoint.keys() - {'model', 'state_dict'})
        print(f'Other entries, dropped: {", ".join(others) or "none"}.')
    num_queries = len(foreign.state_dict['head.query_embed.weight'])
    print(f'Wrote an INTR of {num_queries} classes to {dst}.')
