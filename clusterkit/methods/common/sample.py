"""The random sample of which all pairs are compared."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGEST = 4000
"""Largest number of items of which a consensus compares all pairs. Beyond it, linkage and eigenvectors take minutes."""
EACH = 8
"""Fewest items of a mean cluster in the sample of which a consensus of values compares all pairs."""


def compared(count: int, k: int) -> int:
    """Return of how many of N items a consensus of values compares all pairs to find K clusters."""
    return min(count, max(LARGEST, EACH * k))


def sampled(count: int, seed: int, most: int | None = None) -> "NDArray[np.int64]":
    """Return the positions (M,), in order, of `most` random items of N, by default LARGEST, or of all if N is less."""
    import numpy as np

    most = LARGEST if most is None else most
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(count)[:most])
