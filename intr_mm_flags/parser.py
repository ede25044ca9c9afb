"""What flags of the tools share; a wrong value ends in a usage error."""
import argparse
import math
import os
import os.path as osp
import re
import sys
import tempfile
from collections.abc import Callable, Iterable

# Endings of what `mmengine.dump` writes.
DATA_FILES = ('.json', '.yaml', '.yml', '.pkl', '.pickle')
PICTURE_FILES = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.webp', '.bmp')
WEIGHT_FILES = ('.pth', '.pt', '.safetensors')
# classes that are other ones on each image
CLASS_WORDS = re.compile(r'gt|pred|top\d+')


class ToolParser(argparse.ArgumentParser):
    """Parser of a tool, whose help shows every default and an example.

    Args:
        description: What the tool does.
        example: A command.
    """

    def __init__(self, description: str, example: str) -> None:
        super().__init__(
            description=description,
            epilog=f'Example:\n  {example}',
            formatter_class=_ToolHelp,
            # a flag that is gone must not pass for one that begins alike
            allow_abbrev=False)
        self.add_argument(
            '--debug',
            action='store_true',
            help='show the traceback of every error, also where a sentence '
            'says what is wrong')

    def parse_args(self, *args, **kwargs) -> argparse.Namespace:
        """Parse them, and from now on say in a sentence where Ctrl-C ends the
        tool, as while it imports."""
        sys.excepthook = _tell_interrupt
        return super().parse_args(*args, **kwargs)

    def add_cfg_options(self, what: str = 'the config') -> None:
        """Take ``--cfg-options``, which change settings of something."""
        self.add_argument(
            '--cfg-options',
            nargs='+',
            action=OptionsAction,
            default={},
            help=f'override settings of {what}, as in `xxx=yyy`, '
            '`key="[a,b]"` or `key="[(a,b),(c,d)]"` (with the quotation marks '
            'and without white space)')

    def add_conversion(self, src: str, dst: str) -> None:
        """Take the files of a converter, described by ``src`` and ``dst``."""
        self.add_argument('src', help=src)
        self.add_argument('dst', help=f'{dst}, {" or ".join(WEIGHT_FILES)}')
        self.add_argument(
            '--overwrite',
            action='store_true',
            help='replace dst if it is there')

    def add_launcher(self) -> None:
        """Take what launchers of several processes say."""
        self.add_argument(
            '--launcher',
            choices=['none', 'pytorch', 'slurm', 'mpi'],
            default='none',
            help='job launcher')
        self.add_argument(
            '--local_rank',
            '--local-rank',
            action=_LocalRank,
            type=int,
            help='set by the launcher')


def _tell_interrupt(kind: type, *error) -> None:
    if issubclass(kind, KeyboardInterrupt):
        tool = osp.basename(sys.argv[0])
        print(f'\n{tool}: stopped by SIGINT.', file=sys.stderr)
    else:
        sys.__excepthook__(kind, *error)


class _ToolHelp(argparse.RawDescriptionHelpFormatter):

    def _get_help_string(self, action: argparse.Action) -> str:
        nothing = (None, False, argparse.SUPPRESS)
        if 'default' in action.help or any(action.default is value
                                           for value in nothing):
            return action.help
        return f'{action.help} (default: %(default)s)'


def number(low: float, high: float = math.inf, kind: type = int) -> Callable:
    """A number from ``low`` to ``high``, both included."""

    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high or math.isinf(value):
            most = 'or more' if high == math.inf else f'to {high}'
            whole = 'a whole number, ' if kind is int else ''
            raise argparse.ArgumentTypeError(
                f'has to be {whole}{low} {most}, got {text!r}')
        return value

    return parse


def ending(path: str | os.PathLike) -> str:
    """What tells the format of a file: the end of its name from the last dot
    on, in lower case."""
    return osp.splitext(path)[1].lower()


def output_file(*endings: str) -> Callable:
    """A path that a file can be written to, in a folder that can be made.

    Args:
        *endings: Those of the formats that can be written; none means any.
    """

    def parse(path: str) -> str:
        if endings and not osp.isdir(path) and ending(path) not in endings:
            raise argparse.ArgumentTypeError(
                f'{path!r} has an ending that cannot be written: use '
                f"{' or '.join(endings)}")
        return _checked(path, check_file)

    return parse


def output_folder(path: str) -> str:
    """A folder that is there or can be made, and written to."""
    return _checked(path, check_folder)


def _checked(path: str, check: Callable[[str], None]) -> str:
    try:
        check(path)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return path


def check_file(path: str | os.PathLike) -> None:
    """Refuse a path that no file can be written to, unless it is a URL.

    Raises:
        ValueError: None can.
    """
    path = os.fspath(path)
    if '://' in path:
        return
    if not osp.basename(path) or osp.isdir(path):
        raise ValueError(f'{path!r} is a folder: name a file')
    _try_to_write(osp.dirname(path) or '.', path)


def check_folder(path: str) -> None:
    """Refuse a folder that files cannot be written to.

    Raises:
        ValueError: They cannot, or it is not there and cannot be made.
    """
    if not path:
        raise ValueError('the name of the folder is empty: name one')
    _try_to_write(path)


def check_not_read(out: str | os.PathLike,
                   read: Iterable[str | os.PathLike]) -> None:
    """Refuse to write over what is read.

    Args:
        out: File to write, or folder of files whose names may be those read.
        read: Files; URLs are passed over.

    Raises:
        ValueError: One is the file, or lies in the folder.
    """
    if not osp.exists(out):
        return
    is_folder = osp.isdir(out)
    for file in map(os.fspath, read):
        place = (osp.dirname(file) or '.') if is_folder else file
        if osp.exists(place) and osp.samefile(out, place):
            raise ValueError(
                f'{os.fspath(out)!r} {"holds" if is_folder else "is"} what is '
                'read, which could be replaced: choose another place')


def _try_to_write(folder: str, file: str | None = None) -> None:
    there = folder
    while not osp.exists(there):
        there = osp.dirname(there) or '.'
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
        if file is not None and osp.exists(file):
            with open(file, 'ab'):
                pass
    except OSError as error:
        raise ValueError(
            f'{file or folder!r} cannot be written '
            f'({error.strerror or error}): choose another place') from error


def is_exported(file) -> bool:
    """Whether a model or checkpoint is given as an exported file."""
    return isinstance(file, (str, os.PathLike)) and ending(file) == '.onnx'


def device(text: str) -> str:
    """A device of PyTorch that is there."""
    if text == 'cpu':  # a default, for which nothing need be imported
        return text
    import torch
    try:
        kind = torch.device(text)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no device: use cpu, or such as cuda:0') from error
    if kind.type == 'cuda' and (kind.index or 0) >= torch.cuda.device_count():
        raise argparse.ArgumentTypeError(
            f'{text!r} is not there, PyTorch finds '
            f'{torch.cuda.device_count()} CUDA devices: use another, or cpu')
    try:
        there = kind.type == 'cuda' or torch.empty(0, device=kind)
    except (RuntimeError, NotImplementedError, AssertionError):
        there = None
    if there is None or kind.type == 'meta':
        raise argparse.ArgumentTypeError(
            f'{text!r} computes nothing here: use cpu, or such as cuda:0')
    return text


class _LocalRank(argparse.Action):
    """Hand the number on to MMEngine, unless the environment has it."""

    def __call__(self, parser, namespace, value, option_string=None) -> None:
        setattr(namespace, self.dest, value)
        os.environ.setdefault('LOCAL_RANK', str(value))


class OptionsAction(argparse.Action):
    """MMEngine's ``DictAction``, but what is no KEY=VALUE is a usage error."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Add the options to the namespace."""
        for option in values:
            key, equals, _ = option.partition('=')
            if not equals or not all(key.split('.')):
                parser.error(f"{option_string}: '{option}' has to be "
                             'KEY=VALUE without white space, such as '
                             'train_cfg.max_epochs=3')
        from mmengine.config import DictAction
        try:
            DictAction(self.option_strings, self.dest)(parser, namespace,
                                                       values, option_string)
        except AssertionError as error:
            parser.error(f'{option_string} {" ".join(values)}: {error}: close '
                         'them, and put the option in quotation marks')
