"""C2M: the clustering that a critic scores highest (Alami, Kaddah and Read 2023, section 3.1)."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit import console
from clusterkit.config import Recipe
from clusterkit.critic.embedding import point_set
from clusterkit.critic.read import check_finite, read_critic, recipe_of
from clusterkit.critic.search import Search, extended, search
from clusterkit.methods.common.points import digests_of, equal_together
from clusterkit.methods.common.problem import Clustering, Problem, hard

LARGEST = 2000
"""Most items that are searched; of a larger set a random sample is, and the others follow it."""


def c2m(problem: Problem) -> Clustering:
    """Search for the clustering, of at most K clusters, that the critic in `options.critic` scores highest.

    The search is that of the critic's recipe. Raises InputError for a file that is no critic.
    """
    different = len(set(digests_of(problem.values)))
    # K is an upper bound, so it must not put each of a few different items into a cluster of its own.
    bounded = replace(problem, k=min(problem.k, different - 1)) if different > 2 else problem
    return hard(equal_together(bounded, lambda: found(bounded)), problem.k)


def found(problem: Problem) -> NDArray[np.int64]:
    """Return the clusters (N,) of the search."""
    header, critic = read_critic(problem.options.critic)
    effort = Search(k=problem.k, recipe=recipe_of(header))
    x = critic.coordinates(torch.from_numpy(problem.values), problem.title)
    if len(x) <= LARGEST:
        best = search(critic, point_set(x), effort, problem.seed)
        check_finite(best.score, problem.title)
        return best.assignment.numpy()
    console.log.info("cluster %s: searching a random sample of %d items", problem.title, LARGEST)
    generator = torch.Generator().manual_seed(problem.seed)
    sample = point_set(x[torch.randperm(len(x), generator=generator)[:LARGEST]])
    best = search(critic, sample, effort, problem.seed)
    check_finite(best.score, problem.title)
    if effort.recipe is Recipe.BEST:
        # A network that fits the sample may be anything between its points.
        best = replace(best, weights=None)
    return extended(best, sample, x, problem.k).numpy()
