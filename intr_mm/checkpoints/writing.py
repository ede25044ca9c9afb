"""Write files whole or not at all, and what the tools in
``tools/model_converters`` share."""
import os
import os.path as osp
import secrets
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape, glob

from mmengine.fileio import LocalBackend, put, register_backend
from mmengine.runner import CheckpointLoader, save_checkpoint
from mmengine.utils import mkdir_or_exist
from safetensors.torch import save as to_safetensors
from torch import Tensor

from intr_mm_flags import WEIGHT_FILES, ending
from .conversion import ForeignWeights
from .integrity import tensors_digest


@register_backend('AtomicLocalBackend')
class AtomicLocalBackend(LocalBackend):
    """Local files that are written whole or not at all.

    The content goes to a file of a drawn name beside the target, which
    replaces the target in one step when everything is on the disk. A process
    killed meanwhile leaves the old target as it was.
    """

    def put(self, obj: bytes, filepath: str) -> None:
        """Write bytes to a file.

        Raises:
            OSError: It cannot be written, such as for lack of room; nothing
                of it is left then.
        """
        filepath = os.fspath(filepath)
        folder, name = osp.split(filepath)
        part = osp.join(folder, f'.{name}.{secrets.token_hex(8)}.part')
        try:
            mkdir_or_exist(folder)
            # 'x' opens nothing that is there already, hence no link
            with open(part, 'xb') as f, _removed_on_error(part):
                f.write(obj)
                f.flush()
                os.fsync(f.fileno())
                os.replace(part, filepath)
        except OSError as error:
            raise OSError(f"'{filepath}' cannot be written "
                          f'({error.strerror or error}): make room or choose '
                          'another folder; what was there before is as '
                          'it was.') from error

    def put_text(self,
                 obj: str,
                 filepath: str,
                 encoding: str = 'utf-8') -> None:
        """Write text to a file."""
        self.put(obj.encode(encoding), filepath)


@contextmanager
def _removed_on_error(path: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.unlink(path)
        raise


def remove_parts(folder: str) -> None:
    """Remove what killed processes began to write in a folder.

    Args:
        folder: Path, in which nothing else writes.
    """
    for part in glob(osp.join(escape(folder), '.*.????????????????.part')):
        with suppress(OSError):
            os.unlink(part)


def save_weights(state_dict: dict[str, Tensor],
                 filename: str,
                 key: str = 'state_dict') -> None:
    """Write weights, whole or not at all.

    Args:
        state_dict: The weights.
        filename: Path. With the ending ``.safetensors`` it becomes such a
            file, which holds its own SHA-256, else one of PyTorch.
        key: Where a file of PyTorch holds the weights.
    """
    backend_args = dict(backend='AtomicLocalBackend')
    if ending(filename) == '.safetensors':
        state_dict = {
            name: tensor.contiguous()
            for name, tensor in state_dict.items()
        }
        digest = tensors_digest(to_safetensors(state_dict))
        content = to_safetensors(state_dict, dict(format='pt', sha256=digest))
        put(content, filename, backend_args=backend_args)
    else:
        save_checkpoint({key: state_dict}, filename, backend_args=backend_args)


def check_destination(args: Namespace) -> None:
    """End a converter before its work if it cannot write what it shall.

    Args:
        args: Of a parser with ``add_conversion``.

    Raises:
        SystemExit: The ending is none, the folder cannot be written to, or the
            file is there already.
    """
    src, dst = args.src, args.dst
    folder = osp.dirname(osp.abspath(dst))
    while not osp.lexists(folder):
        folder = osp.dirname(folder)
    if ending(dst) not in WEIGHT_FILES:
        problem = f'needs one of the endings {", ".join(WEIGHT_FILES)}'
    elif osp.isdir(dst):
        problem = 'is a folder: name a file in it'
    elif osp.exists(src) and osp.exists(dst) and osp.samefile(src, dst):
        problem = 'is the file to convert: choose another name'
    elif osp.lexists(dst) and not args.overwrite:
        problem = 'is there already: choose another name, or add --overwrite'
    elif not osp.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        problem = (f"cannot be written, as nothing can be put into '{folder}':"
                   ' choose another folder')
    else:
        return
    raise SystemExit(f"'{dst}' {problem}; nothing was written.")


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
    except (OSError, RuntimeError, ValueError) as error:
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
    except (ValueError, OSError) as error:
        reason = str(error).rstrip('.')
        raise SystemExit(f"'{src}' was not converted: {reason}; nothing was "
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
        others = sorted(map(str, checkpoint.keys() - {'model', 'state_dict'}))
        print(f'Other entries, dropped: {", ".join(others) or "none"}.')
    num_queries = len(foreign.state_dict['head.query_embed.weight'])
    print(f'Wrote an INTR of {num_queries} classes to {dst}.')
