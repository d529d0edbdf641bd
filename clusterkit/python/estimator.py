"""PairClustering: the clustering methods as a scikit-learn estimator."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from clusterkit.errors import UsageError
from clusterkit.methods import METHODS
from clusterkit.python.clustering import METHOD, Clusters, clustered, read_options
from clusterkit.python.words import python_words


class PairClustering(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Cluster vectors by their values and, if they are known, by pairs.

    `n_clusters` is K: 1 puts all items into one cluster, and None is for a method that finds K. `method` names a method
    of `clusterkit.cluster`, `options` holds the method's own options by name, and `device` trains a network. An integer
    as `random_state` gives the same result as `clusterkit.cluster` with this seed.

    After `fit`, `labels_` (N,) holds the cluster of each item, -1 for none; `probabilities_` (N, K) holds its
    probabilities, and `n_features_in_` is D.
    """

    def __init__(
        self,
        n_clusters: int | None = 8,
        *,
        method: str = METHOD,
        random_state: Any = None,
        device: str = "auto",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.method = method
        self.random_state = random_state
        self.device = device
        self.options = options

    def fit(
        self, X: Any, y: None = None, *, pairs: Any = None, must_link: Any = None, cannot_link: Any = None
    ) -> "PairClustering":
        """Cluster vectors X (N, D); `y` is ignored.

        `pairs` (N, N) holds the probability from 0 to 1 that two items are similar, NaN if it is unknown. `must_link`
        and `cannot_link` are lists of pairs of positions, which override `pairs`. Raises ValueError for an invalid
        value, or if the method needs pairs and there are none, and TypeError for a value of the wrong type.
        """
        X = validate_data(self, X, ensure_min_samples=2)
        seed: Any = self.random_state
        if not isinstance(seed, Integral):
            seed = int(check_random_state(seed).randint(2**31 - 1))
        with python_words(k="n_clusters", seed="random_state"):
            if self.n_clusters is not None and self.method in METHODS and METHODS[self.method].finds_k:
                raise UsageError(
                    f"--k {self.n_clusters}: --method {self.method} finds the number of clusters itself; give None"
                )
            result = self._cluster(X, pairs, {"must_link": must_link, "cannot_link": cannot_link}, seed)
        self.labels_ = result.labels
        self.probabilities_ = result.probabilities
        return self

    def _cluster(self, X: Any, pairs: Any, constraints: Mapping[str, Any], seed: int) -> Clusters:
        options = self.options or {}
        if type(self.n_clusters) is int and self.n_clusters == 1:
            # No method accepts K = 1, whose result is certain.
            read_options(self.method, options)
            return Clusters(np.zeros(len(X), np.int32), np.ones((len(X), 1), np.float32), 1)
        return clustered(
            X, k=self.n_clusters, method=self.method, pairs=pairs, constraints=constraints, seed=seed,
            device=self.device, options=options,
        )  # fmt: skip
