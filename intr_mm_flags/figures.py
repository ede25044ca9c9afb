"""Flags of figures, for tools that draw them."""
from argparse import ArgumentParser, ArgumentTypeError, Namespace

from .parser import CLASS_WORDS, number

FIGURES = ('heads', 'gallery', 'comparison', 'traits')
# of several images, and of how many unless --num says it
TOGETHER, MOST_TOGETHER = ('gallery', 'traits'), 6
_WORDS = ('all', 'mean', 'best4')


def add_figure_flags(parser: ArgumentParser) -> None:
    """Add what figures show and how they look.

    Args:
        parser: Of a tool that has ``--classes``.
    """
    parser.add_argument(
        '--heads',
        nargs='+',
        type=_head,
        metavar='all|mean|best4|N',
        help='all heads and their mean, the mean alone, or the four heads '
        'whose attention has the lowest entropy on this image for this class, '
        'the most peaked first, and the mean of all (of evidence, the four '
        'with most, and the sum); or numbers as they stand in the pictures, '
        'such as 0 2 mean (default: all; mean for a gallery or a comparison; '
        'the four that the class needs most for traits)')
    group = parser.add_argument_group('figures')
    group.add_argument(
        '--figure',
        choices=FIGURES,
        default='heads',
        help='heads: classes and heads of each image (default); gallery: one '
        'class and head over the images; comparison: two classes on each '
        'image and their difference, that of --classes (default: the '
        'predicted one) and that of --against (default: the best other one); '
        "traits: parts of the images around the peaks of a class's heads")
    group.add_argument(
        '--format',
        choices=['png', 'pdf', 'svg'],
        default='png',
        help='of the files (default: png)')
    group.add_argument(
        '--dpi',
        type=number(1, 2400),
        help='pixels per inch, also of photos within pdf and svg (default: '
        '180, or 300 with --width-mm)')
    group.add_argument(
        '--width-mm',
        type=number(1, 5000, float),
        help='width of a figure, such as 85 or 170 for a column or page of a '
        'journal; rows are broken to fit, type stays at 7 to 8 pt (default: '
        'panels of one size)')
    group.add_argument(
        '--columns',
        type=number(1),
        help='panels in a row, at most; a gallery has pairs of a photo and '
        'its map')
    group.add_argument(
        '--cmap',
        metavar='NAME',
        help='colour map of matplotlib (default: inferno, or blue and orange '
        'for evidence)')
    group.add_argument(
        '--contours',
        action='store_true',
        help='draw contour lines at the values that the colour bar names')
    group.add_argument(
        '--quantile',
        type=number(.5, 1, float),
        help='share of the values within the colour scale, whose last colour '
        'those beyond have; 1 ends it at the largest (default: 0.998)')
    group.add_argument(
        '--per-panel-files',
        action='store_true',
        help='write each panel and colour bar to a file of its own')
    group.add_argument(
        '--no-titles',
        action='store_true',
        help='leave the title to the caption of the paper')


def check_figure_flags(parser: ArgumentParser, args: Namespace) -> None:
    """End with one sentence where flags are out of range or do not go
    together; put into ``args`` what ``FigureStyle`` takes as ``style``, and
    ``heads`` as ``choose_heads`` takes them."""
    if args.cmap is not None:
        import matplotlib
        if args.cmap not in matplotlib.colormaps:
            parser.error(f"--cmap '{args.cmap}' is no colour map of "
                         'matplotlib; such as viridis, cividis or magma')
    heads, figure = args.heads, args.figure
    if heads is not None and set(heads) & {'all', 'best4'}:
        if len(heads) > 1:
            parser.error(f'--heads {heads[0]} stands alone')
        if figure != 'heads':
            parser.error(f'--heads {heads[0]} is for --figure heads; for '
                         f'{figure}, name the heads by their numbers')
        args.heads = heads[0]
    elif heads is None:
        args.heads = dict(heads='all', traits=None).get(figure, ['mean'])
    elif figure == 'traits' and 'mean' in heads:
        parser.error('--figure traits shows heads, and no mean of them')
    several = len(args.classes) > 1 or CLASS_WORDS.fullmatch(args.classes[0])
    if figure == 'comparison' and several and args.classes != ['pred']:
        parser.error('--figure comparison compares one class with that of '
                     '--against: name it, and no other, by --classes')
    if figure in TOGETHER:
        if args.memory:
            parser.error(f'--figure {figure} shows several images, and '
                         '--memory what there is to attend to in one: leave '
                         'one of the two out')
        if several:
            parser.error(f'--figure {figure} shows one class: name it, and no '
                         'other, by --classes')
        if args.num is None:
            args.num = MOST_TOGETHER
    args.style = dict(contours=args.contours, titles=not args.no_titles)
    if args.width_mm is not None:
        args.style['dpi'] = 300
    for name in ('width_mm', 'dpi', 'columns', 'cmap', 'quantile'):
        if getattr(args, name) is not None:
            args.style[name] = getattr(args, name)


def _head(text: str) -> int | str:
    if text in _WORDS:
        return text
    if not text.isdecimal():
        raise ArgumentTypeError(f"'{text}' is neither all, mean, best4 nor "
                                'the number of a head, from 0 on')
    return int(text)
