"""C2M: the clustering that a critic scores highest (Alami, Kaddah and Read 2023, section 3.1)."""

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit import console
from clusterkit.config import Recipe
from clusterkit.critic.coordinates import coordinates
from clusterkit.critic.embedding import PointSet, neighbours
from clusterkit.critic.read import read_critic
from clusterkit.critic.search import Search, extended, search
from clusterkit.methods.common.points import equal_together
from clusterkit.methods.common.problem import Clustering, Problem, hard

LARGEST = 2000
"""Most items that are searched; of a larger set a random sample is, and the others follow it."""


def c2m(problem: Problem) -> Clustering:
    """Search for the clustering, of at most K clusters, that the critic in `options.critic` scores highest.

    The search is that of the critic's recipe. Raises InputError for a file that is no critic.
    """
    return hard(equal_together(problem, lambda: found(problem)), problem.k)


def found(problem: Problem) -> NDArray[np.int64]:
    header, critic = read_critic(problem.options.critic)
    effort = Search(k=problem.k, recipe=Recipe(header.config["recipe"]))
    x = coordinates(torch.from_numpy(problem.values), critic.architecture.width, problem.title)
    if len(x) <= LARGEST:
        return search(critic, PointSet(x, neighbours(x)), effort, problem.seed).assignment.numpy()
    console.log.info("cluster %s: searching a random sample of %d items", problem.title, LARGEST)
    generator = torch.Generator().manual_seed(problem.seed)
    chosen = x[torch.randperm(len(x), generator=generator)[:LARGEST]]
    sample = PointSet(chosen, neighbours(chosen))
    best = search(critic, sample, effort, problem.seed)
    return extended(best, sample, x, problem.k).numpy()
