"""The classes of a checkpoint and those of data."""
import logging
from collections import Counter
from collections.abc import Sequence
from textwrap import shorten

from mmengine.logging import print_log
from torch import nn

from .checks import class_names


def check_class_order(known: Sequence[str] | None,
                      classes: Sequence[str] | None, field: str) -> None:
    """Refuse data whose classes have other numbers than a checkpoint's.

    A class that has its number and another name is told of in the log.

    Args:
        known: Names of the checkpoint's classes; None if it names none.
        classes: Names of the data's; None if it names none.
        field: Where the data is.

    Raises:
        ValueError: A class of the checkpoint has another number in the data.
    """
    if known is None or classes is None:
        return
    differing = [(label, old, new)
                 for label, (old, new) in enumerate(zip(known, classes))
                 if old != new]
    for label, _, new in differing:
        if new in known:
            raise ValueError(
                f"Class '{new}' is number {label} in {field} but number "
                f'{list(known).index(new)} in the checkpoint, so that figures '
                'would be of other classes: give the data the class folders '
                'or `metainfo.classes` that the model was trained with.')
    if differing:
        label, old, new = differing[0]
        print_log(
            f"{len(differing)} classes have other names in {field} than in "
            f"the checkpoint; class {label} is '{new}' there and '{old}' "
            'here. They count as the same.', 'current', logging.WARNING)


def carry_classes(model: nn.Module, checkpoint: dict,
                  classes: Sequence[str]) -> None:
    """Bring the class queries of a checkpoint into the order of a model.

    Queries are carried over by the name of their class; those of classes that
    the checkpoint does not know, or not by a name of their own, stay as the
    model has drawn them. Nothing is done where the checkpoint names no
    classes, or the same.

    Args:
        model: Classifier.
        checkpoint: Content of a file, whose ``state_dict`` is changed.
        classes: Names of the model's classes.

    Raises:
        ValueError: The checkpoint is that of the model which an
            :class:`EvidenceReader` learns from, whose classes stay where they
            are, and they do not fit.
    """
    before = class_names(checkpoint)
    if before is None or before == list(classes):
        return
    if getattr(getattr(model, 'head', None), 'distill', False):
        check_class_order(before, classes, 'train_dataloader')
        return
    own = model.state_dict()
    times = Counter(before) | Counter(classes)
    rows = [
        before.index(name) if name in before and times[name] == 1 else None
        for name in classes
    ]
    weights = checkpoint['state_dict'] = dict(checkpoint['state_dict'])
    changed = False
    for key, value in weights.items():
        name = key.removeprefix('module.')
        if not name.endswith('query_embed.weight') or name not in own:
            continue
        drawn = own[name].clone().unflatten(0, (len(classes), -1))
        if (len(value) != len(before) * drawn.size(1)
                or value.size(1) != drawn.size(2)):
            continue  # MMEngine names what does not fit
        known = value.unflatten(0, (len(before), -1))
        for label, row in enumerate(rows):
            if row is not None:
                drawn[label] = known[row]
        weights[key] = drawn.flatten(0, 1)
        changed = True
    if not changed:
        if len(before) == len(classes) and not any(
                name.endswith('query_embed.weight') for name in own):
            print_log(
                'The checkpoint has other classes than train_dataloader, or '
                'in another order, and the head holds no queries of classes '
                'that could be carried over by name: it starts from the '
                'weights as they are.', 'current', logging.WARNING)
        return
    carried = len(rows) - rows.count(None)
    words = f'carries over {carried} of {len(before)} classes by name'
    for what, names, others in (('initialises', classes, before),
                                ('drops', before, classes)):
        names = [name for name in names if name not in others]
        if names:
            listed = shorten(', '.join(names), 300, placeholder=' ...')
            words += f'; {what} {len(names)}: {listed}'
    print_log(f'The head {words}.', 'current',
              logging.INFO if carried else logging.WARNING)
