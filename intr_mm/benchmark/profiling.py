from collections.abc import Callable

from terminaltables import AsciiTable
from torch.profiler import ProfilerActivity, profile

from .peak import synchronize
from .results import Result

_TOP = 10


def profile_operations(run: Callable[[], object], device: str) -> list[dict]:
    """PyTorch's operations in which a call spends its time.

    Args:
        run: What to call.
        device: Where it computes.

    Returns:
        ``name``, ``calls``, ``seconds`` without those of the operations
        within, and ``share`` of them all, of the ten longest.
    """
    activities = [ProfilerActivity.CPU]
    if device != 'cpu':
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        run()
        synchronize(device)
    operations = profiler.key_averages()
    # 'cuda' until PyTorch 2.4
    named = hasattr(operations[0], 'self_device_time_total')
    on_device = f'self_{"device" if named else "cuda"}_time_total'
    key = 'self_cpu_time_total' if device == 'cpu' else on_device
    total = sum(getattr(operation, key) for operation in operations)
    operations = sorted(
        operations, key=lambda operation: -getattr(operation, key))
    return [
        dict(
            name=operation.key,
            calls=operation.count,
            seconds=getattr(operation, key) / 1e6,
            share=getattr(operation, key) / total)
        for operation in operations[:_TOP]
    ]


def format_profiles(results: list[Result]) -> str:
    """Write profiles as a table.

    Args:
        results: Of all cases.

    Returns:
        The operations of each side that was profiled.
    """
    rows = [['case', 'who', 'operation', 'calls', 'seconds', 'share']]
    for result in results:
        for m in result.measurements:
            for of in m.profile or []:
                rows.append([
                    str(result.case),
                    str(m.side), of['name'], of['calls'],
                    f'{of["seconds"]:.3g}', f'{of["share"]:.0%}'
                ])
    return AsciiTable(rows).table
