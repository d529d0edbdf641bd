"""Coordinates: features of any set, brought to the width that a critic takes."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterkit.errors import InputError

FLAT = 1e-12
"""The largest share of the first component's variance, or of the squared mean, that counts as rounding."""


def coordinates(features: Tensor, width: int, name: str = "features", *, even: bool = False) -> Tensor:
    """Return the coordinates (N, width), in the default number format, of features (N, D) of any scale.

    They are the first principal components, or all of them and zeros if there are fewer. The mean squared length of a
    point is `width`, so that sets of other dimensions have the same scale. With `even`, all components have the same
    variance, so that linear images of a set in no more dimensions than `width` are alike. Constant features give zeros.
    Each component points to where its longest tail is. Raises InputError for values that are not finite.
    """
    if not bool(features.isfinite().all()):
        raise InputError(f"{name}: holds values that are not finite; remove or replace them")
    values = features.detach().cpu().double().flatten(1).numpy()
    found = _components(values, width)
    result = np.zeros((len(values), width))
    result[:, : found.shape[1]] = found / np.sqrt((found**2).mean(0)) if even and len(found) else found
    size = np.sqrt((result**2).sum(1).mean()) if len(result) else 0.0
    if size > 0:
        result *= np.sqrt(width) / size
    return torch.from_numpy(result).to(torch.get_default_dtype())


def _components(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Return at most `width` principal components (N, D') of values (N, D), without those that only round."""
    if not values.size:
        return np.zeros((len(values), 0))
    largest = np.abs(values).max()
    # Squares of very large or very small values would overflow or vanish.
    values = values / largest if largest > 0 else values
    mean = values.mean(0)
    centred = values - mean
    if (centred**2).sum() <= FLAT**2 * (mean**2).sum() * len(values):
        return np.zeros((len(values), 0))
    wide = values.shape[1] > len(values)
    variances, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    order = np.argsort(-variances)[:width]
    order = order[variances[order] > FLAT * variances.max()]
    found = vectors[:, order] * np.sqrt(variances[order]) if wide else centred @ vectors[:, order]
    skewness = (found**3).sum(0)
    result: NDArray[np.float64] = found * np.where(skewness < 0, -1, 1)
    return result
