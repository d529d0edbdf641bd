"""How many outputs a clustering had to choose from."""

from clusterkit.artifacts.assignments import Assignment
from clusterkit.artifacts.header import Header
from clusterkit.methods import METHODS

OUTPUTS = 100
"""Outputs that a method which finds K is counted by: as many as a network has by default."""


def finds_k(header: Header) -> bool:
    """Return whether the method that made the assignments found their number of clusters itself."""
    method = METHODS.get(header.config.get("method", ""))
    return method is not None and method.finds_k


def outputs(header: Header, assignment: Assignment) -> int:
    """Return among how many outputs a cluster has to have its share of the items, to count as dominant.

    That is K; what finds K has no output to spare, and small clusters of it count as they do for a network.
    """
    return OUTPUTS if finds_k(header) else assignment.k
