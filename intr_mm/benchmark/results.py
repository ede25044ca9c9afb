from dataclasses import asdict, dataclass, field
from statistics import median
from typing import List, Optional

import numpy as np

from .agreement import Agreement
from .case import Case, Side


@dataclass
class Measurement:
    """What one side of a case took.

    Args:
        side (Side): Who was asked.
        seconds (list[float]): Of each run.
        peak_mib (float, optional): Peak memory of a run, in MiB.
        growth_mib (float, optional): The same above what was held before.
        output (np.ndarray, optional): What it gave.
        share_of_peak (float, optional): FLOP/s by the median of the seconds,
            relative to the matrix peak of its precision.
        failure (str, optional): Why nothing was measured.
        profile (list[dict], optional): See :func:`profile_operations`.
    """
    side: Side
    seconds: List[float] = field(default_factory=list)
    peak_mib: Optional[float] = None
    growth_mib: Optional[float] = None
    output: Optional[np.ndarray] = None
    share_of_peak: Optional[float] = None
    failure: Optional[str] = None
    profile: Optional[List[dict]] = None

    @property
    def median_seconds(self) -> Optional[float]:
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
        reference (Measurement): Of the first side.
        other (Measurement): Of another side.
        agreement (Agreement, optional): Of their outputs.
    """
    reference: Measurement
    other: Measurement
    agreement: Optional[Agreement] = None

    @property
    def speedups(self) -> List[float]:
        """Seconds of the reference by those of the other, for each pair."""
        return [
            a / b for a, b in zip(self.reference.seconds, self.other.seconds)
        ]

    def memory_ratio(self, name: str) -> Optional[float]:
        """MiB of the reference by those of the other.

        Args:
            name (str): ``'peak_mib'`` or ``'growth_mib'``.

        Returns:
            float, optional: The ratio; None where one is unknown or 0.
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
        case (Case): What was measured.
        flops (int): Nominal work, two for each multiply-add.
        measurements (list[Measurement]): Of all sides, the reference first.
        comparisons (list[Comparison]): Of each other side.
    """
    case: Case
    flops: int
    measurements: List[Measurement]
    comparisons: List[Comparison]

    @property
    def disagreements(self) -> List[str]:
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
