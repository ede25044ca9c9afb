from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, NullLocator

from .results import Result

# works in which only the number of classes varies
PLOTTED = {'classes': 'prediction', 'train-classes': 'training step'}


def plot_classes(results: list[Result], path: str) -> None:
    """Draw what the number of classes costs, in time and in memory.

    Args:
        results: Of all cases; those of ``PLOTTED`` are drawn, a row of panels
            for each work.
        path: Picture to write.

    Raises:
        ValueError: There is nothing to draw.
    """
    works = [
        work for work in PLOTTED if any(r.case.work == work for r in results)
    ]
    if not works:
        raise ValueError('--plot draws what the number of classes costs: add '
                         f'{" or ".join(PLOTTED)} to --works.')
    figure = Figure(figsize=(10, 4 * len(works)), layout='constrained')
    panels = figure.subplots(len(works), 2, squeeze=False)
    for (time, memory), work in zip(panels, works):
        chosen = [r for r in results if r.case.work == work]
        case = chosen[0].case
        name = (f'{PLOTTED[work]}, batch {case.batch_size}, '
                f'{case.shape[0]}x{case.shape[1]}')
        _draw(time, chosen, 'median_seconds', name, 'seconds')
        _draw(memory, chosen, 'growth_mib', name,
              'peak memory above rest (MiB)')
    figure.savefig(path, dpi=150)


def _draw(axes: Axes, results: list[Result], field: str, title: str,
          label: str) -> None:
    lines: dict[str, list[tuple]] = {}
    for result in results:
        for m in result.measurements:
            value = getattr(m, field)
            if value is not None:
                lines.setdefault(m.side.implementation, []).append(
                    (result.case.num_classes, value))
    for name, points in lines.items():
        axes.plot(*zip(*sorted(points)), marker='o', label=name)
    axes.set(title=title, xlabel='number of classes', ylabel=label)
    axes.set(xscale='log', yscale='log')
    counts = sorted({result.case.num_classes for result in results})
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter('{x:g}')
    axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
    axes.grid(True, which='both', alpha=0.3)
    if lines:
        axes.legend()
