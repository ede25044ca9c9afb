"""The works that can be measured, as cases and those who are asked."""
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .case import Case, Side
from .ours import INFERENCE_MODES, TRAINING_MODES

Job = tuple[Case, list[Side]]
# Where the number of classes varies: the works and their defaults.
CLASS_COUNTS = {
    'decoder': (200, 3000),
    'classes': (200, 1000, 3000, 10000),
    'train-classes': (200, 1000, 3000, 10000),
}


@dataclass(frozen=True)
class Options:
    """What the command line leaves open.

    Args:
        official: Whether the official code takes part.
        modes: Modes of ours.
        threads: Threads of PyTorch.
        num_classes: Number of classes where it does not vary.
        class_counts: Numbers of classes where it does.
        batch_sizes: Batch sizes of prediction.
        shape: Height and width to predict on.
        train_batch_size: Batch size of training.
        train_shape: Height and width to train on.
        classes_shape: Height and width where the number of classes varies.
        memory_shape: Cells of the decoder's memory.
        photos: Photos to augment.
        seed: Seed of weights and inputs.
    """
    official: bool
    modes: tuple[str, ...]
    threads: int
    num_classes: int
    class_counts: dict[str, Sequence[int]]
    batch_sizes: tuple[int, ...]
    shape: tuple[int, int]
    train_batch_size: int
    train_shape: tuple[int, int]
    classes_shape: tuple[int, int]
    memory_shape: tuple[int, int]
    photos: tuple[str, ...]
    seed: int

    def sides(self, operation: str, modes: Sequence[str]) -> list[Side]:
        """All that can do an operation, the official code first."""
        official = ['official'] if self.official else []
        chosen = [mode for mode in self.modes if mode in modes]
        return [Side(name, operation) for name in official + chosen]

    def case(self, work: str, classes: int, batch_size: int,
             shape: tuple[int, int], **kwargs) -> Case:
        """A case with the common settings."""
        kwargs.setdefault('threads', self.threads)
        return Case(
            work, classes, batch_size, tuple(shape), seed=self.seed, **kwargs)


def plan(works: Sequence[str], options: Options) -> list[Job]:
    """All cases of works that somebody takes part in.

    Args:
        works: Keys of ``WORKS``.
        options: What the command line leaves open.

    Returns:
        The cases in the order of the works.
    """
    return [(case, sides) for work in works
            for case, sides in WORKS[work](options) if sides]


def predict(options: Options) -> list[Job]:
    """Prediction, at each batch size."""
    return [(options.case('predict', options.num_classes, n, options.shape),
             options.sides('predict', INFERENCE_MODES))
            for n in options.batch_sizes]


def decoder(options: Options) -> list[Job]:
    """The decoder alone, on the memory of each batch size, at each number of
    classes."""
    return [(options.case('decoder', n, size, options.memory_shape),
             options.sides('decode', INFERENCE_MODES))
            for n in options.class_counts['decoder']
            for size in options.batch_sizes]


def train(options: Options) -> list[Job]:
    """A step of training."""
    case = options.case(
        'train',
        options.num_classes,
        options.train_batch_size,
        options.train_shape,
        training=True)
    return [(case, options.sides('train', TRAINING_MODES))]


def classes(options: Options) -> list[Job]:
    """Prediction of one image, at each number of classes."""
    return [(options.case('classes', n, 1, options.classes_shape),
             options.sides('predict', INFERENCE_MODES))
            for n in options.class_counts['classes']]


def explain(options: Options) -> list[Job]:
    """Prediction with one class's maps of all heads, against that without."""
    return [(options.case('explain', options.num_classes, n, options.shape),
             [Side(mode, 'explain'),
              Side(mode, 'scores')]) for mode in options.modes
            if mode in INFERENCE_MODES for n in options.batch_sizes]


def train_classes(options: Options) -> list[Job]:
    """A step of training of ours, at each number of classes."""
    sides = [
        side for side in options.sides('train', TRAINING_MODES)
        if side.implementation != 'official'
    ]
    return [(options.case(
        'train-classes',
        n,
        options.train_batch_size,
        options.classes_shape,
        training=True), sides) for n in options.class_counts['train-classes']]


def data(options: Options) -> list[Job]:
    """Training augmentation of photos, on one core."""
    case = options.case(
        'data',
        options.num_classes,
        len(options.photos), (0, 0),
        files=options.photos,
        threads=1)
    return [(case, options.sides('augment', ['fp32']))]


WORKS: dict[str, Callable[[Options], list[Job]]] = {
    'predict': predict,
    'explain': explain,
    'decoder': decoder,
    'train': train,
    'classes': classes,
    'train-classes': train_classes,
    'data': data,
}
