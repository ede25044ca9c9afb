"""Write files whole or not at all, and what the tools in
``tools/model_converters`` share."""
import os
import os.path as osp
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.fileio import LocalBackend, put, register_backend
from mmengine.runner import CheckpointLoader, save_checkpoint
from mmengine.utils import mkdir_or_exist
from safetensors.torch import save as to_safetensors
from torch import Tensor

from .conversion import ForeignWeights


@register_backend('AtomicLocalBackend')
class AtomicLocalBackend(LocalBackend):
    """Local files that are written whole or not at all.

    The content goes to a file beside the target, which replaces the target
    in one step when everything is on the disk. A process killed meanwhile
    leaves the old target as it was.
    """

    def put(self, obj: bytes, filepath: str) -> None:
        """Write bytes to a file."""
        filepath = os.fspath(filepath)
        mkdir_or_exist(osp.dirname(filepath))
        part = f'{filepath}.part'
        with open(part, 'wb') as f:
            f.write(obj)
            f.flush()
            os.fsync(f.fileno())
        os.replace(part, filepath)

    def put_text(self,
                 obj: str,
                 filepath: str,
                 encoding: str = 'utf-8') -> None:
        """Write text to a file."""
        self.put(obj.encode(encoding), filepath)


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
    backend_args = dict(backend='AtomicLocalBackend')
    if filename.endswith('.safetensors'):
        content = to_safetensors({
            name: tensor.contiguous()
            for name, tensor in state_dict.items()
        })
        put(content, filename, backend_args=backend_args)
    else:
        save_checkpoint({key: state_dict}, filename, backend_args=backend_args)


def read_checkpoint(src: str) -> dict:
    """Read a checkpoint, or end the tool with what is wrong with the file.

    Args:
        src: Path or URL.

    Returns:
        Content of the file.

    Raises:
        SystemExit: It cannot be read.
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
        SystemExit: The file is not what it should be.
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
