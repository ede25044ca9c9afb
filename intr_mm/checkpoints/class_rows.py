"""Start from a checkpoint of the same task with other classes."""
import logging
from collections.abc import Sequence
from textwrap import shorten

from mmengine.logging import print_log
from torch import nn

from .checks import class_names


def carry_classes(model: nn.Module, checkpoint: dict,
                  classes: Sequence[str]) -> None:
    """Bring the class queries of a checkpoint into the order of a model.

    Queries are carried over by the name of their class; those of classes that
    the checkpoint does not know stay as the model has drawn them. Nothing is
    done where the checkpoint names no classes, or the same.

    Args:
        model: Classifier.
        checkpoint: Content of a file, whose ``state_dict`` is changed.
        classes: Names of the model's classes.
    """
    before = class_names(checkpoint)
    if before is None or before == list(classes):
        return
    own = model.state_dict()
    rows = [before.index(name) if name in before else None for name in classes]
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
