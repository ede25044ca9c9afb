from dataclasses import dataclass

import numpy as np

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Agreement:
    """How far two implementations' outputs lie apart.

    Args:
        difference: Largest absolute difference.
        relative: The same, relative to the largest magnitude of the reference.
        excess: The same, relative to that magnitude or 1, whichever is larger:
            what has to stay within ``TOLERANCE`` in float32.
        top1: Share of the images whose best class is the same; None of losses.
        exact: Whether both compute in float32.
    """
    difference: float
    relative: float
    excess: float
    top1: float | None
    exact: bool

    @property
    def failed(self) -> bool:
        """Whether float32 outputs differ by more than rounding."""
        return self.exact and not self.excess <= TOLERANCE


def compare_outputs(reference: np.ndarray, output: np.ndarray,
                    exact: bool) -> Agreement:
    """Compare the outputs of two implementations.

    Args:
        reference: Logits (B, C), or a loss ().
        output: The same of the other.
        exact: Whether both compute in float32.

    Returns:
        How far they lie apart.

    Raises:
        ValueError: Their shapes differ.
    """
    if reference.shape != output.shape:
        raise ValueError(f'Outputs of shapes {reference.shape} and '
                         f'{output.shape} cannot be compared.')
    difference = float(np.abs(reference - output).max())
    largest = float(np.abs(reference).max())
    top1 = None
    if reference.ndim == 2:
        top1 = float((reference.argmax(1) == output.argmax(1)).mean())
    return Agreement(
        difference=difference,
        relative=difference / largest if largest else difference,
        excess=difference / max(1., largest),
        top1=top1,
        exact=exact)
