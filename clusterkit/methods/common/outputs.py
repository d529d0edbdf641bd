"""K in the smallest size of a dominant cluster, N / K items."""

from clusterkit.artifacts.assignments import Assignment
from clusterkit.artifacts.header import Header
from clusterkit.methods import METHODS

OUTPUTS = 100
"""Outputs for a method that finds K: as many as a network has by default."""


def finds_k(header: Header) -> bool:
    """Return whether the method that made the assignments found the number of clusters itself."""
    method = METHODS.get(header.config.get("method", ""))
    return method is not None and method.finds_k


def outputs(header: Header, assignment: Assignment) -> int:
    """Return K for the smallest size, N / K items, of a dominant cluster.

    A method that finds K has no spare outputs. Its small clusters are counted as for a network.
    """
    return OUTPUTS if finds_k(header) else assignment.k


def none_empty(header: Header, assignment: Assignment) -> int | None:
    """Return the number of outputs if every output has items, else None; also None for a method that finds K."""
    used = len(set(assignment.cluster.tolist()) - {-1})
    return assignment.k if used == assignment.k and not finds_k(header) else None
