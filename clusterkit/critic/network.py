"""The critic: a network that scores clusterings of a set by its embedding (C2M, section 3.3)."""

import itertools
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clusterkit.critic.coordinates import coordinates
from clusterkit.critic.embedding import PointSet, cluster_features, convolved, embedding, point_set
from clusterkit.settings import Graph

LAYERS = (256, 256, 512, 512)
"""Hidden units of the critic (C2M, section 4)."""
SLOPE = 0.2
FORM = 2
"""Increase it with every change of the features of clusters, so that critics of other versions are refused."""
CELLS = 2_000_000
"""Most numbers of a kind that one part of a population takes, so that memory does not grow with its size."""


@dataclass(frozen=True, kw_only=True)
class CriticArchitecture:
    """All that is needed to build a critic.

    `width` is the number of coordinates. `form` is the version of what a critic sees of a clustering. `hidden` are the
    units of the two graph convolutions: (32, 16) for points in the plane, (100, 50) for images (C2M, section 4). With
    `sizes`, features of a point are also the share of points in its cluster and a constant.
    """

    width: int
    graph: Graph = Graph.NEIGHBOURS
    form: int = FORM
    hidden: tuple[int, int] = (32, 16)
    sizes: bool = True

    @property
    def inputs(self) -> int:
        return (2 if self.graph is Graph.NEIGHBOURS else self.width) + 2 * self.sizes

    @property
    def length(self) -> int:
        """Return the length of an embedding."""
        return self.hidden[1] * (self.hidden[1] + 1) // 2

    def to_header(self) -> dict[str, Any]:
        return {**asdict(self), "graph": str(self.graph), "hidden": list(self.hidden)}

    @staticmethod
    def from_header(fields: dict[str, Any]) -> "CriticArchitecture":
        """Rebuild from a header. Raises KeyError, TypeError or ValueError if the fields are no architecture."""
        first, second = fields["hidden"]
        values = {**fields, "graph": Graph(fields["graph"]), "hidden": (first, second)}
        found = CriticArchitecture(**values)
        numbers = (found.width, found.form, first, second)
        if not all(type(number) is int and number > 0 for number in numbers) or type(found.sizes) is not bool:
            raise ValueError(f"{fields} are no critic")
        return found


class Critic(nn.Module):
    """The weights of the graph convolutions, the scale of embeddings, and the layers that score them."""

    scale: Tensor

    def __init__(self, architecture: CriticArchitecture, seed: int = 0) -> None:
        super().__init__()
        self.architecture = architecture
        sizes = (architecture.length, *LAYERS, 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            first, second = architecture.hidden
            self.first = nn.Parameter(nn.init.xavier_uniform_(torch.empty(architecture.inputs, first)))
            self.second = nn.Parameter(nn.init.xavier_uniform_(torch.empty(first, second)))
            layers: list[nn.Module] = []
            for inner, outer in itertools.pairwise(sizes):
                layers += [nn.Linear(inner, outer), nn.LeakyReLU(SLOPE)]
            self.layers = nn.Sequential(*layers[:-1])
        self.register_buffer("scale", torch.ones(architecture.length))

    def coordinates(self, features: Tensor, name: str = "features") -> Tensor:
        """Return the coordinates (N, width) of features (N, D), of equal variance with the neighbour graph.

        Raises InputError for values that are not finite; `name` tells whose they are.
        """
        form = self.architecture
        return coordinates(features, form.width, name, even=form.graph is Graph.NEIGHBOURS)

    def read(self, features: Tensor, name: str = "features") -> PointSet:
        """Return the set of features (N, D) as this critic reads it. Raises InputError as `coordinates` does."""
        return point_set(self.coordinates(features, name))

    def convolve(self, points: PointSet, assignments: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (P, K, m) of the clusters of assignments (P, N), and the share of points in each (P, K)."""
        form = self.architecture
        features, shares = cluster_features(points, assignments, form.graph, sizes=form.sizes)
        return convolved(features, self.first, self.second), shares

    def embed(self, points: PointSet, assignments: Tensor) -> Tensor:
        """Return the embeddings (P, e) of a set with assignments (P, N), divided by their usual size."""
        return embedding(*self.convolve(points, assignments)) / self.scale

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return the scores (P,) of embeddings (P, e)."""
        scores: Tensor = self.layers(embeddings)[:, 0]
        return scores

    @torch.no_grad()
    def scores(self, points: PointSet, assignments: Tensor) -> Tensor:
        """Return the scores (P,) of assignments (P, N), int64 from 0; higher is better. Names of clusters do not count.

        Raises ValueError for negative numbers, for assignments of another number of points, and for none.
        """
        fits = assignments.ndim == 2 and assignments.shape[1] == len(points) and assignments.numel() > 0
        if not fits or bool((assignments < 0).any()):
            raise ValueError(f"assignments {tuple(assignments.shape)} must be (P, {len(points)}) numbers from 0")
        widest = max(2 * points.near.numel(), int(assignments.max()) * self.architecture.hidden[0], len(points))
        parts = assignments.split(max(1, CELLS // widest))
        return torch.cat([self(self.embed(points, part)) for part in parts])
