from math import isfinite, nan
from typing import NamedTuple

_WORDS = {
    'decide': 'The maps shown decide',
    'in part': 'The maps shown decide in part',
    'not': 'The maps shown do not decide',
    'unknown': 'Whether the maps shown decide is not known'
}


class Verdict(NamedTuple):
    """Whether what is shown decides: ``'decide'``, ``'in part'``, ``'not'`` or
    ``'unknown'``, and a sentence that says so with its figures."""
    level: str
    sentence: str


def verdict(*,
            top1: float | None = None,
            even_top1: float | None = None,
            same: float | None = None,
            num_classes: int | None = None,
            guess: float | None = None,
            margin: float | None = None,
            deletion: dict[str, float] | None = None,
            random_deletion: dict[str, float] | None = None) -> Verdict:
    """Say in plain words whether a model's maps decide its predictions.

    Of what top-1 has above a guess, a part remains with even attention. Maps
    decide if at most a tenth does and if, where deletion is given, it falls
    below chance with intervals that do not touch. They do not if at least half
    does, or if deletion is no better than chance; else they do in part. All
    figures are in percent; of those that are missing or NaN nothing is said.

    Args:
        top1: Top-1 of the model.
        even_top1: ``top1`` of :class:`EvenAttention`.
        same: ``same`` of it, which stands for the two where labels are not
            known.
        num_classes: Number of classes, which tells the top-1 of a guess.
        guess: It, where classes are not equally frequent: the share of the
            most frequent one.
        margin: ``margin`` of :class:`EvenAttention`.
        deletion: Of :class:`InsertionDeletion`, in the order of the maps that
            are shown: ``value``, and ``low`` and ``high`` of its interval.
        random_deletion: The same in the order of chance.
    """
    top1, even_top1, same, margin = (
        nan if figure is None else figure
        for figure in (top1, even_top1, same, margin))
    chance = 100 / num_classes if num_classes else nan
    if guess is not None:
        chance = guess
    kept = (even_top1 - chance) / (top1 - chance) if top1 > chance else nan
    if isfinite(same):
        guess = chance if isfinite(chance) else 0
        kept = (same - guess) / (100 - guess) if guess < 100 else nan
    shown, random = (
        dict(value=nan, low=nan, high=nan) | (entry or {})
        for entry in (deletion, random_deletion))
    deleted = isfinite(shown['value']) and isfinite(random['value'])

    if kept >= .5 or shown['value'] >= random['value']:
        level = 'not'
    elif not isfinite(kept):
        level = 'unknown'
    elif kept <= .1 and (not deleted or shown['high'] < random['low']):
        level = 'decide'
    else:
        level = 'in part'

    said = []
    beside = f' (chance {chance:.1f})' if isfinite(chance) else ''
    if isfinite(same):
        said.append(f'with even attention in their place {same:.1f} % of the '
                    f'predictions stay{beside}')
    if isfinite(top1) and isfinite(even_top1):
        said.append(f'with even attention in their place {even_top1:.1f} of '
                    f'{top1:.1f} % top-1 remain{beside}')
    if isfinite(margin):
        said.append(f'they account for {margin:.0f} % of the margin')
    if deleted:
        said.append('deleting where they point leaves a mean score of '
                    f'{shown["value"]:.1f} % where chance leaves '
                    f'{random["value"]:.1f}')
    words = _WORDS[level]
    return Verdict(level,
                   f'{words}: {"; ".join(said)}.' if said else f'{words}.')
