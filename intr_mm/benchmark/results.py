from dataclasses import asdict, dataclass, field
from statistics import median

import numpy as np

from .agreement import Agreement
from .case import Case, Side


@dataclass
class Measurement:
    """What one side of a case took.

    Args:
        side: Who was asked.
        seconds: Of each run.
        peak_mib: Peak memory of a run, in MiB.
        growth_mib: The same above what was held before.
        output: What it gave.
        share_of_peak: FLOP/s by the median of the seconds, relative to the
            matrix peak of its precision.
        failure: Why nothing was measured.
        profile: See :func:`profile_operations`.
    """
    side: Side
    seconds: list[float] = field(default_factory=list)
    peak_mib: float | None = None
    growth_mib: float | None = None
    output: np.ndarray | None = None
    share_of_peak: float | None = None
    failure: str | None = None
    profile: list[dict] | None = None

    @property
    def median_seconds(self) -> float | None:
        """Median of the seconds."""
        return median(self.seconds) if self.seconds else None

    def to_dict(self) -> dict:
        """All but the output."""
        values = {k: v for k, v in vars(self).items() if k != 'output'}
        return dict(
            values, side=asdict(self.side), median_seconds=self.median_seconds)


@dataclass
class Comparison:
    """One side of a case against the reference.

    Args:
        reference: Of the first side.
        other: Of another side.
        agreement: Of their outputs.
    """
    reference: Measurement
    other: Measurement
    agreement: Agreement | None = None

    @property
    def speedups(self) -> list[float]:
        """Seconds of the reference by those of the other, for each pair."""
        return [
            a / b for a, b in zip(self.reference.seconds, self.other.seconds)
        ]

    def memory_ratio(self, name: str) -> float | None:
        """MiB of the reference by those of the other.

        Args:
            name: ``'peak_mib'`` or ``'growth_mib'``.

        Returns:
            The ratio; None where one is unknown or 0.
        """
        a, b = getattr(self.reference, name), getattr(self.other, name)
        return a / b if a and b else None

    def to_dict(self) -> dict:
        """The figures."""
        speedups = self.speedups
        agreement = self.agreement
        return dict(
            reference=asdict(self.reference.side),
            other=asdict(self.other.side),
            speedups=speedups,
            median_speedup=median(speedups) if speedups else None,
            peak_ratio=self.memory_ratio('peak_mib'),
            growth_ratio=self.memory_ratio('growth_mib'),
            agreement=agreement
            and dict(asdict(agreement), failed=agreement.failed))


@dataclass
class Result:
    """All that is known of a case.

    Args:
        case: What was measured.
        flops: Nominal work, two for each multiply-add.
        measurements: Of all sides, the reference first.
        comparisons: Of each other side.
    """
    case: Case
    flops: int
    measurements: list[Measurement]
    comparisons: list[Comparison]

    @property
    def disagreements(self) -> list[str]:
        """A sentence for each side whose float32 outputs are not those of the
        reference."""
        return [
            f'{self.case}: {c.other.side} differs from {c.reference.side} by '
            f'{c.agreement.difference:.1e}' for c in self.comparisons
            if c.agreement is not None and c.agreement.failed
        ]

    def to_dict(self) -> dict:
        """The figures, for JSON."""
        case = asdict(self.case)
        return dict(
            case=dict(case, files=len(self.case.files)),
            flops=self.flops,
            measurements=[m.to_dict() for m in self.measurements],
            comparisons=[c.to_dict() for c in self.comparisons])
