from statistics import median

from terminaltables import AsciiTable

from .results import Comparison, Measurement, Result

_COLUMNS = [
    'case', 'A', 'B', 'time A/B', 'memory A/B (in all)', 'difference',
    'peak A, B'
]


def format_results(results: list[Result]) -> str:
    """Write results as a table.

    Args:
        results: Of all cases.

    Returns:
        A line for each pair of the reference ``A`` and another side ``B``:
        median seconds; their ratio in each pair of runs as median [lowest,
        highest]; the ratio of the memory above what was held before, and of
        the whole process; the outputs' largest difference, absolute and
        relative; and shares of the matrix peak.
    """
    rows = [_COLUMNS]
    for result in results:
        for comparison in result.comparisons:
            rows.append(_pair(result, comparison))
        if not result.comparisons:
            rows.append(_alone(result))
    return AsciiTable(rows).table


def _pair(result: Result, comparison: Comparison) -> list[str]:
    a, b = comparison.reference, comparison.other
    same = a.side.implementation == b.side.implementation
    growth = _number(comparison.memory_ratio('growth_mib'))
    peak = _number(comparison.memory_ratio('peak_mib'))
    return [
        str(result.case),
        _describe(result, a, same),
        _describe(result, b, same),
        _spread(comparison.speedups),
        f'{growth} ({peak})' if peak else '',
        _agreement(comparison),
        f'{_percent(a.share_of_peak)}, {_percent(b.share_of_peak)}'
        if result.flops else '',
    ]


def _alone(result: Result) -> list[str]:
    only = result.measurements[0]
    memory = ''
    if only.peak_mib is not None:
        memory = f'A: {only.growth_mib:.0f} ({only.peak_mib:.0f}) MiB'
    return [
        str(result.case),
        _describe(result, only, False), '', '', memory, '',
        _percent(only.share_of_peak)
    ]


def _describe(result: Result, m: Measurement, operation: bool) -> str:
    """Name and seconds of a side."""
    name = str(m.side) if operation else m.side.implementation
    if m.failure is not None:
        return f'{name}: {m.failure}'
    text = f'{name} {_number(m.median_seconds)} s'
    if result.case.files:
        per_second = result.case.batch_size / m.median_seconds
        text += f', {per_second:.1f}/s'
    return text


def _spread(values: list[float]) -> str:
    if not values:
        return ''
    return (f'{_number(median(values))} [{_number(min(values))}, '
            f'{_number(max(values))}]')


def _agreement(comparison: Comparison) -> str:
    agreement = comparison.agreement
    if agreement is None:
        return ''
    text = f'{agreement.difference:.1e} ({agreement.relative:.1e} rel.)'
    if agreement.failed:
        text += ' FAILED'
    elif not agreement.exact and agreement.top1 is not None:
        text += f', top-1 {_percent(agreement.top1)}'
    return text


def _number(value: float | None) -> str:
    return '' if value is None else f'{value:.3g}'


def _percent(share: float | None) -> str:
    return '' if share is None else f'{share:.0%}'
