"""What is measured, and which implementations take part."""
import argparse
import itertools
from dataclasses import dataclass
from pathlib import Path

from intr_mm.datasets import DETRAugment
from intr_mm.deploy.onnx_export import check_requirements
from intr_mm.deploy.session import choose_engine
from .flags import (CLASS_COUNTS, EXPORTED_MODES, INFERENCE_MODES, OF_PHOTOS,
                    TRAINING_MODES)

LOW_PRECISION = ('fast-bf16', 'exported-bf16', 'amp')
_PHOTO = (375, 500)  # what most photos of CUB have
_SUFFIXES = ('.jpg', '.jpeg', '.png')


@dataclass(frozen=True)
class Case:
    """What all implementations do alike.

    Args:
        name: One of ``CASES``.
        num_classes: Number of classes ``C`` of the model.
        batch_size: Number of images ``B``.
        shape: Height and width of the padded images in pixels; of the memory
            in cells for the decoder alone.
        seed: Seed of weights and inputs.
        threads: Threads of PyTorch.
        training: Whether it changes the weights.
        views: Height and width of each image, where they differ.
        files: Photos to load.
    """
    name: str
    num_classes: int
    batch_size: int
    shape: tuple[int, int]
    seed: int = 0
    threads: int = 1
    training: bool = False
    views: tuple[tuple[int, int], ...] = ()
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.files:
            return f'{self.name}, {len(self.files)} photos'
        height, width = self.shape
        most = 'up to ' if self.views else ''
        return (f'{self.name}, {self.batch_size} x {most}{height}x{width}, '
                f'C={self.num_classes}')


@dataclass(frozen=True)
class Task:
    """What one implementation does in a case.

    Args:
        implementation: ``'official'`` or a mode of ours.
        operation: Method of the implementation that prepares it.
    """
    implementation: str
    operation: str

    def __str__(self) -> str:
        return f'{self.implementation} {self.operation}'


def plan(args: argparse.Namespace) -> list[tuple[Case, list[Task]]]:
    """The cases of the command line with their tasks, the reference first.

    Cases that no implementation takes part in are left out.

    Raises:
        ValueError: ``--photos`` holds none, or the processor or ``--device``
            does not compute in a mode.
        ImportError: An exported file cannot be run.
    """
    for mode in EXPORTED_MODES.keys() & args.modes:
        if args.device != 'cpu':
            raise ValueError(f'--modes {mode} runs on the CPU alone, not on '
                             f'{args.device}: leave one of the two out.')
        check_requirements()
        choose_engine('openvino', EXPORTED_MODES[mode])
    files = find_photos(args.photos, args.num_photos) if args.photos else ()
    shapes = {
        'data': (0, 0),
        'load': (0, 0),
        'decoder': args.memory_size,
        'train': args.train_img_size,
        'classes': args.classes_img_size,
        'train-classes': args.classes_img_size,
    }
    planned = []
    for name in args.cases:
        counts, sizes = [args.classes], args.batch_sizes
        shape = shapes.get(name, args.img_size)
        training = name.startswith('train')
        if name in CLASS_COUNTS:
            counts = args.class_counts or CLASS_COUNTS[name]
        if training:
            sizes = [args.train_batch_size]
        elif name == 'classes':
            sizes = [1]
        elif name in OF_PHOTOS:
            sizes = [len(files)]
        views = ()
        if name == 'train-views':
            views = draw_views(args.train_batch_size, args.seed)
            shape = tuple(map(max, zip(*views)))
        for num_classes, size in itertools.product(counts, sizes):
            case = Case(
                name,
                num_classes,
                size,
                tuple(shape),
                seed=args.seed,
                threads=1 if name in OF_PHOTOS else args.threads,
                training=training,
                views=views,
                files=files if name in OF_PHOTOS else ())
            planned += [(case, tasks) for tasks in _tasks(name, args) if tasks]
    return planned


def _tasks(name: str, args: argparse.Namespace) -> list[list[Task]]:
    """Groups of tasks to be compared."""
    operations, able = {
        'predict': (('predict', ), (*INFERENCE_MODES, *EXPORTED_MODES)),
        # of ours alone, the second against the first
        'exported': (('predict_by_hand', 'predict'), EXPORTED_MODES),
        # with one class's maps of all attention heads, against without
        'explain': (('explain', 'scores'), INFERENCE_MODES),
        'load': (('load_by_pillow', 'load'), ('fp32', )),
        'data': (('augment', ), ('fp32', )),
        'decoder': (('decode', ), INFERENCE_MODES),
        'train': (('train', ), TRAINING_MODES),
        'train-views': (('train', ), TRAINING_MODES),
        'train-classes': (('train', ), TRAINING_MODES),
    }.get(name, (('predict', ), INFERENCE_MODES))
    modes = [mode for mode in args.modes if mode in able]
    if len(operations) > 1:
        return [[Task(mode, operation) for operation in operations]
                for mode in modes]
    if args.official and name != 'train-classes':
        modes.insert(0, 'official')
    return [[Task(mode, *operations) for mode in modes]]


def draw_views(number: int, seed: int) -> tuple[tuple[int, int], ...]:
    """Height and width of views that DETR's augmentation draws of photos."""
    view = DETRAugment()
    view.set_epoch(seed, 0)
    return tuple(view.view_shape(index, _PHOTO) for index in range(number))


def find_photos(folder: str, number: int) -> tuple[str, ...]:
    """Up to a number of photos, sorted and evenly spread over the classes.

    Raises:
        ValueError: There are none.
    """
    paths = sorted(
        str(path) for path in Path(folder).glob('*/*')
        if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise ValueError(f"--photos '{folder}' holds no class folders with "
                         f'photos ({", ".join(_SUFFIXES)}).')
    return tuple(paths[::max(1, len(paths) // number)][:number])
