from math import isfinite, nan
from typing import NamedTuple

from .base import wilson_interval

_WORDS = {
    'decide': 'The maps shown decide',
    'in part': 'The maps shown decide in part',
    'not': 'The maps shown do not decide',
    'unknown': 'Whether the maps shown decide is not known'
}
# Images of which a bootstrap's interval says something
_FEWEST = 10


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
            num_images: int | None = None,
            margin: float | None = None,
            deletion: dict[str, float] | None = None,
            random_deletion: dict[str, float] | None = None) -> Verdict:
    """Say in plain words whether a model's maps decide its predictions.

    Of what top-1 has above a guess, a part remains with even attention. Maps
    decide if at most a tenth does and if, where deletion is given, it falls
    below chance with intervals that do not touch. They do not if at least half
    does, or if deletion is above chance with intervals that do not touch; else
    they do in part. It is not known where a guess does as well, where deletion
    is above chance and intervals touch, and where images are so few that the
    95 percent interval of what remains is wider than two fifths; deletion of
    fewer than ten does not count. All figures are in percent; of those that
    are missing or NaN nothing is said.

    Args:
        top1: Top-1 of the model.
        even_top1: ``top1`` of :class:`EvenAttention`.
        same: ``same`` of it, which stands for the two where labels are not
            known.
        num_classes: Number of classes, which tells the top-1 of a guess.
        guess: Share of the most frequent class, where classes are not equally
            frequent. A model that tells it always has no more, so maps are
            not said to decide nothing for what remains below it.
        num_images: Of how many images these figures are. None means many.
        margin: ``margin`` of :class:`EvenAttention`.
        deletion: Of :class:`InsertionDeletion`, in the order of the maps that
            are shown: ``value``, ``low`` and ``high`` of its interval, and
            ``num_images``, without which they are many.
        random_deletion: The same in the order of chance.
    """
    top1, even_top1, same, margin, guess = (
        nan if figure is None else figure
        for figure in (top1, even_top1, same, margin, guess))
    chance = 100 / num_classes if num_classes else nan
    known = {'chance': chance, 'the most frequent class': guess}
    known = {name: by for name, by in known.items() if isfinite(by)}
    whole, even = (100., same) if isfinite(same) else (top1, even_top1)
    # of what a guess has not, the share that remains, by either guess
    kept = [(even - by) / (whole - by) if whole > by else nan
            for by in known.values() or (0. if isfinite(same) else nan, )]
    few = False
    if num_images is not None and isfinite(kept[0]):
        low, high = wilson_interval(even / 100, num_images)
        few = 100 * (high - low) > .4 * (
            whole - min(known.values(), default=0))
    shown, random = (
        dict(value=nan, low=nan, high=nan) | (entry or {})
        for entry in (deletion, random_deletion))
    deleted = isfinite(shown['value']) and isfinite(random['value'])
    counts = deleted and shown.get('num_images', _FEWEST) >= _FEWEST

    if few:
        level = 'unknown'
    elif kept[-1] >= .5 or counts and shown['low'] > random['high']:
        level = 'not'
    elif counts and shown['value'] >= random['value']:
        level = 'unknown'
    elif kept[0] <= .1 and (not counts or shown['high'] < random['low']):
        level = 'decide'
    else:
        level = 'in part' if isfinite(kept[-1]) else 'unknown'

    said = []
    beside = ', '.join(f'{name} {by:.1f}' for name, by in known.items())
    beside = beside and f' ({beside})'
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
    if few:
        said.append(f'{num_images} images are too few')
    return Verdict(level,
                   f'{words}: {"; ".join(said)}.' if said else f'{words}.')
