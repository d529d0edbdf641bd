"""Logits of pairs from their cosines: scale * cosine + bias."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]

PENALTY = 1e-6
"""Weight of the squared scale in the regression, so that it is finite where no pair is mistaken."""
SCALE = 7.0
"""Scale without labels, which fits several sets of photos."""
THRESHOLD = 0.2
"""Cosine without labels at which a pair is as often similar as dissimilar, if both kinds are equally frequent."""


def calibrated(cosines: Values, similar: NDArray[np.bool_], rate: float) -> tuple[float, float]:
    """Return scale and bias of the logit by logistic regression on the cosines of pairs (P,), similar or not (P,).

    Similar and dissimilar pairs weigh the same in the regression. `rate` is the share of similar pairs among those that
    the logit is for: its own logit is added to the bias. The scale is never negative.
    """
    from scipy.optimize import minimize

    weights = np.where(similar, 0.5 / max(1, similar.sum()), 0.5 / max(1, (~similar).sum()))
    signs = np.where(similar, 1.0, -1.0)

    def loss(values: Values) -> tuple[float, Values]:
        margins = signs * (values[0] * cosines + values[1])
        slopes = -weights * signs * np.exp(-np.logaddexp(0, margins))
        return (
            float((weights * np.logaddexp(0, -margins)).sum() + PENALTY * values[0] ** 2 / 2),
            np.array([(slopes * cosines).sum() + PENALTY * values[0], slopes.sum()]),
        )

    scale, bias = minimize(loss, (SCALE, 0), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)]).x
    return float(scale), float(bias + log_odds(rate))


def calibrated_without_labels(z: Values) -> tuple[float, float]:
    """Return scale and bias of the logit for rows z of length one (N, D), from the spread of their cosines.

    K classes of one size whose centres are as far apart as can be have a mean squared cosine of 1 / (K - 1). The rate
    of similar pairs is that of as many classes as this gives.
    """
    squared = float(((z.T @ z / max(1, len(z))) ** 2).sum())
    return SCALE, -SCALE * THRESHOLD + log_odds(squared / (1 + squared))


def log_odds(rate: float) -> float:
    rate = float(np.clip(rate, 1e-6, 1 - 1e-6))
    return float(np.log(rate / (1 - rate)))
