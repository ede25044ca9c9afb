from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One thing that is measured, the same for all implementations.

    Args:
        work: Name of the work, a key of ``WORKS``.
        num_classes: Number of classes ``C`` of the model.
        batch_size: Number of images ``B``.
        shape: Height and width of the images in pixels; of the memory in cells
            for the decoder alone.
        training: Whether it changes the weights.
        files: Photos to augment.
        threads: Threads of PyTorch.
        seed: Seed of the inputs.
    """
    work: str
    num_classes: int
    batch_size: int
    shape: tuple[int, int]
    training: bool = False
    files: tuple[str, ...] = ()
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
        implementation: ``'official'`` or a mode of ours.
        operation: Method of the implementation that prepares the work.
    """
    implementation: str
    operation: str

    def __str__(self) -> str:
        return f'{self.implementation} {self.operation}'
