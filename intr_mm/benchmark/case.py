from dataclasses import dataclass
from typing import Tuple


@dataclass(frozen=True)
class Case:
    """One thing that is measured, the same for all implementations.

    Args:
        work (str): Name of the work, a key of ``WORKS``.
        num_classes (int): Number of classes ``C`` of the model.
        batch_size (int): Number of images ``B``.
        shape (tuple[int, int]): Height and width of the images in pixels; of
            the memory in cells for the decoder alone.
        training (bool): Whether it changes the weights. Defaults to False.
        files (tuple[str]): Photos to augment. Defaults to ().
        threads (int): Threads of PyTorch. Defaults to 1.
        seed (int): Seed of the inputs. Defaults to 0.
    """
    work: str
    num_classes: int
    batch_size: int
    shape: Tuple[int, int]
    training: bool = False
    files: Tuple[str, ...] = ()
    threads: int = 1
    seed: int = 0

    def __str__(self) -> str:
        if self.files:
            return f'{self.work}, {len(self.files)} photos'
        height, width = self.shape
        return (f'{self.work}, {self.batch_size} x {height}x{width}, '
                f'C={self.num_classes}')


@dataclass(frozen=True)
class Side:
    """One of those that are asked in turn.

    Args:
        implementation (str): ``'official'`` or a mode of ours.
        operation (str): Method of the implementation that prepares the work.
    """
    implementation: str
    operation: str

    def __str__(self) -> str:
        return f'{self.implementation} {self.operation}'
