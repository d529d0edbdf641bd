"""Consensus of families of clusterings of the items' values; it reads no pairs."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common import sample
from clusterkit.methods.common.families import cut, families
from clusterkit.methods.common.large_families import family_memberships
from clusterkit.methods.common.points import centred, equal_together, warn_of_fewer
from clusterkit.methods.common.problem import Clustering, Problem, hard


def consensus(problem: Problem) -> Clustering:
    """Cluster by average linkage of how often clusterings of several kinds put two items together.

    If these tell fewer than K groups apart, there are fewer clusters, which a log line says.
    """
    points, compared = centred(problem.values), 0

    def cluster() -> NDArray[np.int32]:
        nonlocal compared
        if len(points) > sample.LARGEST:
            prob, compared = family_memberships(points, problem.k, problem.seed)
            clusters: NDArray[np.int32] = prob.argmax(1).astype(np.int32)
        else:
            clusters = cut(families(points, problem.k, problem.seed), problem.k)
        warn_of_fewer(clusters, problem.k, problem.title)
        return clusters

    clusters = equal_together(problem, cluster)
    return replace(hard(clusters, problem.k), compared=compared)
