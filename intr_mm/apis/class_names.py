import difflib
import re
from collections.abc import Iterable, Sequence

from intr_mm_flags import CLASS_WORDS


class UnknownClassError(ValueError):
    """A class that a model does not have."""


class ClassNames:
    """Names of classes, and the classes behind names.

    Names are compared without regard to case, and ``_`` or ``-`` is as good
    as a space. A number in front, as in ``014.Indigo_Bunting``, may be left
    out.

    Args:
        names: Name of each class. None, if they are not known, leaves indices.
        num_classes: Number of classes of the model.

    Raises:
        ValueError: The names are no texts, or fewer or more than the classes.
    """

    def __init__(self, names: Sequence[str] | None, num_classes: int) -> None:
        if names is not None:
            if isinstance(
                    names,
                    str) or not all(isinstance(name, str) for name in names):
                raise ValueError('`classes` has to be a list of names, got '
                                 f'{str(names)[:99]!r}.')
            if len(names) != num_classes:
                raise ValueError(
                    f'There are {len(names)} names of classes, but the model '
                    f'has {num_classes} classes: give `classes` with a name '
                    'for each.')
        self.names = None if names is None else list(names)
        self.num_classes = num_classes

    def __getitem__(self, index: int) -> str:
        """Name for people: the index itself where there is none."""
        if self.names is None:
            return str(index)
        return self.names[index].replace('_', ' ')

    def index(self, item: str | int) -> int:
        """Find a class.

        Args:
            item: A name, or an index, also as a string.

        Returns:
            Index of the class.

        Raises:
            UnknownClassError: If there is no such class.
        """
        wanted = plain_name(str(item))
        plain = [plain_name(name) for name in self.names or []]
        short = [re.sub(r'^\d+[. ]+', '', name) for name in plain]
        for names in (plain, short):
            if isinstance(item, str) and names.count(wanted) == 1:
                return names.index(wanted)
        if re.fullmatch(r'-?\d+', str(item)):
            if 0 <= int(item) < self.num_classes:
                return int(item)
            raise UnknownClassError(
                f'Class {item} is out of range: the model has '
                f'the classes 0 to {self.num_classes - 1}.')
        if self.names is None:
            raise UnknownClassError(
                f"Class '{item}' cannot be found by name, as the checkpoint "
                "holds no names: pass `classes`, or the class's index.")
        close = difflib.get_close_matches(wanted, short, n=3, cutoff=0)
        close = [self.names[short.index(name)] for name in close]
        raise UnknownClassError(
            f"There is no class '{item}'; the closest names are "
            f'{", ".join(close)}.')

    def resolve(self, spec: str | int | Sequence) -> list:
        """Put indices for the names in a choice of classes.

        Args:
            spec: Any of ``'pred'``, ``'gt'``, ``'topN'``, indices and names.

        Returns:
            The same for :func:`intr_mm.models.utils.select_classes`.

        Raises:
            UnknownClassError: If there is no such class.
        """
        # numbers and arrays of numpy and torch, too
        spec = getattr(spec, 'tolist', lambda: spec)()
        if isinstance(spec, str) or not isinstance(spec, Iterable):
            spec = [spec]
        return [
            item if isinstance(item, str) and CLASS_WORDS.fullmatch(item) else
            self.index(getattr(item, 'tolist', lambda: item)())
            for item in spec
        ]


def plain_name(name: str) -> str:
    return ' '.join(re.sub('[_-]', ' ', name).casefold().split()) or name
