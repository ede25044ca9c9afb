from collections.abc import Sequence

import numpy as np
from scipy.stats import bootstrap


def bootstrap_interval(values: Sequence[float],
                       num_resamples: int = 1000,
                       seed: int = 0,
                       level: float = .95) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean, from `Bootstrap Methods:
    Another Look at the Jackknife
    <https://doi.org/10.1214/aos/1176344552>`_ (1979).

    Args:
        values: One value for each image.
        num_resamples: Number of resamples.
        seed: Seed of the resamples.
        level: Confidence level.

    Returns:
        Lower and upper bound; NaN for fewer than two values, which tell
        nothing of their spread.
    """
    if len(values) < 2:
        return float('nan'), float('nan')
    interval = bootstrap((np.asarray(values, dtype=float), ),
                         np.mean,
                         n_resamples=num_resamples,
                         confidence_level=level,
                         method='percentile',
                         random_state=seed).confidence_interval
    return float(interval.low), float(interval.high)
