"""The works that can be measured, as cases and those who are asked."""
from dataclasses import dataclass
from typing import Callable, Dict, List, Sequence, Tuple

from .case import Case, Side
from .ours import INFERENCE_MODES, TRAINING_MODES

Job = Tuple[Case, List[Side]]
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
        official (bool): Whether the official code takes part.
        modes (tuple[str]): Modes of ours.
        threads (int): Threads of PyTorch.
        num_classes (int): Number of classes where it does not vary.
        class_counts (tuple[int]): Numbers of classes where it does.
        batch_sizes (tuple[int]): Batch sizes of prediction.
        shape (tuple[int, int]): Height and width to predict on.
        train_batch_size (int): Batch size of training.
        train_shape (tuple[int, int]): Height and width to train on.
        classes_shape (tuple[int, int]): Height and width where the number of
            classes varies.
        memory_shape (tuple[int, int]): Cells of the decoder's memory.
        photos (tuple[str]): Photos to augment.
        seed (int): Seed of weights and inputs.
    """
    official: bool
    modes: Tuple[str, ...]
    threads: int
    num_classes: int
    class_counts: Dict[str, Sequence[int]]
    batch_sizes: Tuple[int, ...]
    shape: Tuple[int, int]
    train_batch_size: int
    train_shape: Tuple[int, int]
    classes_shape: Tuple[int, int]
    memory_shape: Tuple[int, int]
    photos: Tuple[str, ...]
    seed: int

    def sides(self, operation: str, modes: Sequence[str]) -> List[Side]:
        """All that can do an operation, the official code first."""
        official = ['official'] if self.official else []
        chosen = [mode for mode in self.modes if mode in modes]
        return [Side(name, operation) for name in official + chosen]

    def case(self, work: str, classes: int, batch_size: int,
             shape: Tuple[int, int], **kwargs) -> Case:
        """A case with the common settings."""
        kwargs.setdefault('threads', self.threads)
        return Case(
            work, classes, batch_size, tuple(shape), seed=self.seed, **kwargs)


def plan(works: Sequence[str], options: Options) -> List[Job]:
    """All cases of works that somebody takes part in.

    Args:
        works (Sequence[str]): Keys of ``WORKS``.
        options (Options): What the command line leaves open.

    Returns:
        list[tuple[Case, list[Side]]]: The cases in the order of the works.
    """
    return [(case, sides) for work in works
            for case, sides in WORKS[work](options) if sides]


def predict(options: Options) -> List[Job]:
    """Prediction, at each batch size."""
    return [(options.case('predict', options.num_classes, n, options.shape),
             options.sides('predict', INFERENCE_MODES))
            for n in options.batch_sizes]


def decoder(options: Options) -> List[Job]:
    """The decoder alone, on the memory of each batch size, at each number of
    classes."""
    return [(options.case('decoder', n, size, options.memory_shape),
             options.sides('decode', INFERENCE_MODES))
            for n in options.class_counts['decoder']
            for size in options.batch_sizes]


def train(options: Options) -> List[Job]:
    """A step of training."""
    case = options.case(
        'train',
        options.num_classes,
        options.train_batch_size,
        options.train_shape,
        training=True)
    return [(case, options.sides('train', TRAINING_MODES))]


def classes(options: Options) -> List[Job]:
    """Prediction of one image, at each number of classes."""
    return [(options.case('classes', n, 1, options.classes_shape),
             options.sides('predict', INFERENCE_MODES))
            for n in options.class_counts['classes']]


def explain(options: Options) -> List[Job]:
    """Prediction with one class's maps of all heads, against that without."""
    return [(options.case('explain', options.num_classes, n, options.shape),
             [Side(mode, 'explain'),
              Side(mode, 'scores')]) for mode in options.modes
            if mode in INFERENCE_MODES for n in options.batch_sizes]


def train_classes(options: Options) -> List[Job]:
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


def data(options: Options) -> List[Job]:
    """Training augmentation of photos, on one core."""
    case = options.case(
        'data',
        options.num_classes,
        len(options.photos), (0, 0),
        files=options.photos,
        threads=1)
    return [(case, options.sides('augment', ['fp32']))]


WORKS: Dict[str, Callable[[Options], List[Job]]] = {
    'predict': predict,
    'explain': explain,
    'decoder': decoder,
    'train': train,
    'classes': classes,
    'train-classes': train_classes,
    'data': data,
}
