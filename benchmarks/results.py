"""What was measured: comparison, tables, plot."""
from dataclasses import asdict, dataclass, field
from statistics import median

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, NullLocator
from terminaltables import AsciiTable

from .cases import LOW_PRECISION, Case, Task
from .flags import PLOTTED

TOLERANCE = 1e-4


@dataclass
class Measurement:
    """What one task of a case took.

    Args:
        task: Whose figures these are.
        seconds: Of each run.
        peak_mib: Peak RAM of a run, in MiB.
        growth_mib: The same above what was held before.
        output: Logits (B, C), scores (B, C) or a loss ().
        failure: Why nothing was measured.
        profile: See :meth:`Worker.profile`.
    """
    task: Task
    seconds: list[float] = field(default_factory=list)
    peak_mib: float | None = None
    growth_mib: float | None = None
    output: np.ndarray | None = None
    failure: str | None = None
    profile: list[dict] | None = None

    @property
    def median_seconds(self) -> float | None:
        return median(self.seconds) if self.seconds else None

    def to_dict(self) -> dict:
        """All but the output."""
        values = {k: v for k, v in vars(self).items() if k != 'output'}
        return dict(
            values, task=asdict(self.task), median_seconds=self.median_seconds)


@dataclass
class Result:
    """All that is known of a case.

    Args:
        case: What was measured.
        measurements: Of all tasks, the reference first.
    """
    case: Case
    measurements: list[Measurement]

    @property
    def comparisons(self) -> list[dict]:
        """See :func:`compare`; of each task but the reference with it."""
        reference, *others = self.measurements
        return [compare(reference, other) for other in others]

    @property
    def disagreements(self) -> list[str]:
        """A sentence for each float32 output that is not the reference's."""
        reference, *others = self.measurements
        return [
            f'{self.case}: {other.task} differs from {reference.task} by '
            f'{comparison["agreement"]["difference"]:.1e}'
            for other, comparison in zip(others, self.comparisons)
            if comparison['agreement'] and comparison['agreement']['failed']
        ]

    def to_dict(self) -> dict:
        return dict(
            case=dict(asdict(self.case), files=len(self.case.files)),
            measurements=[m.to_dict() for m in self.measurements],
            comparisons=self.comparisons)


def compare(reference: Measurement, other: Measurement) -> dict:
    """Compare a measurement with the reference.

    Returns:
        Both tasks; ``speedups``, the seconds of the reference by those of the
        other for each pair of runs, and their median; the ratios of peak RAM
        in all and above what was held before; ``agreement`` of the outputs,
        see :func:`compare_outputs`. None is what is unknown.
    """
    speedups = [a / b for a, b in zip(reference.seconds, other.seconds)]
    agreement = None
    if reference.output is not None and other.output is not None:
        names = {m.task.implementation for m in (reference, other)}
        agreement = compare_outputs(
            reference.output,
            other.output,
            exact=names.isdisjoint(LOW_PRECISION))
    return dict(
        reference=asdict(reference.task),
        other=asdict(other.task),
        speedups=speedups,
        median_speedup=median(speedups) if speedups else None,
        peak_ratio=_ratio(reference.peak_mib, other.peak_mib),
        growth_ratio=_ratio(reference.growth_mib, other.growth_mib),
        agreement=agreement)


def _ratio(a: float | None, b: float | None) -> float | None:
    return a / b if a and b else None


def compare_outputs(reference: np.ndarray, output: np.ndarray,
                    exact: bool) -> dict:
    """Compare logits or scores (B, C), or losses ().

    Args:
        reference: Of the reference.
        output: Of the other.
        exact: Whether both compute in float32.

    Returns:
        The largest absolute ``difference``; the same ``relative`` to the
        largest magnitude of the reference; its ``excess``, relative to that
        magnitude or 1, whichever is larger; ``top1``, the share of the images
        whose best class is the same, None of losses; ``exact``; and whether
        it ``failed``: an excess above ``TOLERANCE`` in float32.

    Raises:
        ValueError: Their shapes differ.
    """
    if reference.shape != output.shape:
        raise ValueError(f'Outputs of shapes {reference.shape} and '
                         f'{output.shape} cannot be compared.')
    difference = float(np.abs(reference - output).max())
    largest = float(np.abs(reference).max())
    excess = difference / max(1., largest)
    top1 = None
    if reference.ndim == 2:
        top1 = float((reference.argmax(1) == output.argmax(1)).mean())
    return dict(
        difference=difference,
        relative=difference / largest if largest else difference,
        excess=excess,
        top1=top1,
        exact=exact,
        failed=exact and not excess <= TOLERANCE)


def format_results(results: list[Result]) -> str:
    """A table with a row for each task.

    It holds median seconds; for each but the reference, the ratio of the
    reference's seconds to its own in each pair of runs, as median [lowest,
    highest]; peak RAM above what was held before, and of the whole process,
    with the ratios to the reference's; and the largest difference of the
    outputs, absolute and relative.
    """
    rows = [[
        'case', 'task', 'time', 'faster', 'peak RAM (in all), MiB', 'less',
        'difference'
    ]]
    for result in results:
        for m, comparison in zip(result.measurements,
                                 [{}, *result.comparisons]):
            rows.append([
                str(result.case),
                str(m.task),
                _describe_time(result, m),
                _describe_spread(comparison.get('speedups')),
                _pair(m.growth_mib, m.peak_mib, '.0f'),
                _pair(
                    comparison.get('growth_ratio'),
                    comparison.get('peak_ratio'), '.3g'),
                _describe_agreement(comparison.get('agreement'))
            ])
    return AsciiTable(rows).table


def _describe_time(result: Result, m: Measurement) -> str:
    if m.failure is not None:
        return m.failure
    text = f'{m.median_seconds:.3g} s'
    if result.case.files:
        text += f', {result.case.batch_size / m.median_seconds:.1f}/s'
    return text


def _describe_spread(values: list[float] | None) -> str:
    return f'{median(values):.3g} [{min(values):.3g}, {max(values):.3g}]' \
        if values else ''


def _describe_agreement(agreement: dict | None) -> str:
    if agreement is None:
        return ''
    text = f'{agreement["difference"]:.1e} ({agreement["relative"]:.1e} rel.)'
    if agreement['failed']:
        text += ' FAILED'
    elif not agreement['exact'] and agreement['top1'] is not None:
        text += f', top-1 {agreement["top1"]:.0%}'
    return text


def _pair(above: float | None, in_all: float | None, digits: str) -> str:
    if above is None or in_all is None:
        return ''
    return f'{above:{digits}} ({in_all:{digits}})'


def format_profiles(results: list[Result]) -> str:
    """A table of the longest operations of each task that was profiled."""
    rows = [['case', 'task', 'operation', 'calls', 'seconds', 'share']]
    for result in results:
        for m in result.measurements:
            for each in m.profile or []:
                rows.append([
                    str(result.case),
                    str(m.task), each['name'], each['calls'],
                    f'{each["seconds"]:.3g}', f'{each["share"]:.0%}'
                ])
    return AsciiTable(rows).table


def plot_classes(results: list[Result]) -> Figure:
    """Draw what the number of classes costs: a row of panels for each case of
    ``PLOTTED``, seconds on the left and peak RAM on the right.

    Raises:
        ValueError: There is nothing to draw.
    """
    names = [
        name for name in PLOTTED if any(r.case.name == name for r in results)
    ]
    if not names:
        raise ValueError('--plot draws what the number of classes costs: add '
                         f'{" or ".join(PLOTTED)} to --cases.')
    figure = Figure(figsize=(10, 4 * len(names)), layout='constrained')
    panels = figure.subplots(len(names), 2, squeeze=False)
    for (time, ram), name in zip(panels, names):
        chosen = [r for r in results if r.case.name == name]
        case = chosen[0].case
        title = (f'{PLOTTED[name]}, batch {case.batch_size}, '
                 f'{case.shape[0]}x{case.shape[1]}')
        _draw(time, chosen, 'median_seconds', title, 'seconds')
        _draw(ram, chosen, 'growth_mib', title, 'peak RAM above rest (MiB)')
    return figure


def _draw(axes: Axes, results: list[Result], field: str, title: str,
          label: str) -> None:
    lines: dict[str, list[tuple]] = {}
    for result in results:
        for m in result.measurements:
            value = getattr(m, field)
            if value is not None:
                lines.setdefault(m.task.implementation, []).append(
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
