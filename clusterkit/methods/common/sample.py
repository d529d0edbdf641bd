"""The random sample of which all pairs are compared."""

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.declared import EACH
from clusterkit.methods.common.declared import LARGEST as LARGEST


def compared(count: int, k: int) -> int:
    """Return of how many of N items a consensus of values compares all pairs to find K clusters."""
    return min(count, max(LARGEST, EACH * k))


def sampled(count: int, seed: int, most: int | None = None) -> NDArray[np.int64]:
    """Return the positions (M,), in order, of `most` random items of N, by default LARGEST, or of all if N is less."""
    most = LARGEST if most is None else most
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(count)[:most])
