import os
import os.path as osp

from mmengine.fileio import LocalBackend, register_backend
from mmengine.utils import mkdir_or_exist


@register_backend('AtomicLocalBackend')
class AtomicLocalBackend(LocalBackend):
    """Local files that are written whole or not at all.

    The content goes to a file beside the target, which replaces the target
    in one step when everything is on the disk. A process killed meanwhile
    leaves the old target as it was.
    """

    def put(self, obj: bytes, filepath: str) -> None:
        """Write bytes to a file.

        Args:
            obj: Data to be written.
            filepath: Path to write data.
        """
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
        """Write text to a file.

        Args:
            obj: Text to be written.
            filepath: Path to write data.
            encoding: The encoding of the file.
        """
        self.put(obj.encode(encoding), filepath)
