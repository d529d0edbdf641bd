"""The closed forms against graphs written out as adjacency matrices, in float64."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from clusterkit.critic.coordinates import coordinates
from clusterkit.critic.embedding import (
    STEPS,
    PointSet,
    convolved,
    embedding,
    joined,
    kept,
    point_set,
    reconstruction,
)
from clusterkit.critic.network import Critic, CriticArchitecture
from clusterkit.errors import InputError
from clusterkit.settings import Graph

Matrix = NDArray[np.float64]


def points_of(count: int = 30, width: int = 3, seed: int = 0) -> PointSet:
    return point_set(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)))


def assignments_of(population: int, count: int, k: int = 4, seed: int = 1) -> Tensor:
    return torch.randint(k, (population, count), generator=torch.Generator().manual_seed(seed))


def edges(points: PointSet) -> Matrix:
    """One for each point and its nearest neighbours, (N, N)."""
    matrix = np.zeros((len(points), len(points)))
    np.put_along_axis(matrix, points.near.numpy(), 1, 1)
    return matrix


def dense(critic: Critic, points: PointSet, assignment: Tensor) -> tuple[Matrix, Matrix]:
    """Every Z (N, m) and the adjacency with self-loops, by two symmetrically normalised convolutions."""
    form = critic.architecture
    adjacency = np.equal.outer(assignment.numpy(), assignment.numpy()).astype(np.float64)
    degree = adjacency.sum(1)
    normal = adjacency / np.sqrt(np.outer(degree, degree))
    x = points.x.double().numpy()
    if form.graph is Graph.NEIGHBOURS:
        near = edges(points)
        component = connected_components(near * adjacency, directed=False)[1]
        x = np.stack([(near * adjacency).sum(1) / near.sum(1), np.bincount(component)[component] / degree], 1)
    if form.sizes:
        x = np.column_stack([x, degree / len(x), np.ones(len(x))])
    first, second = (weights.detach().double().numpy() for weights in (critic.first, critic.second))
    return normal @ np.maximum(normal @ x @ first, 0) @ second, adjacency


@pytest.mark.parametrize("graph", Graph)
@pytest.mark.parametrize("sizes", [False, True])
def test_convolutions_embedding_and_loss_are_those_of_the_graph(graph: Graph, sizes: bool) -> None:
    critic = Critic(CriticArchitecture(width=3, graph=graph, hidden=(7, 5), sizes=sizes))
    points, assignments = points_of(), assignments_of(3, 30)
    z, shares = critic.convolve(points, assignments)
    found = embedding(z, shares)
    losses = []
    for row, assignment in enumerate(assignments):
        wanted, adjacency = dense(critic, points, assignment)
        np.testing.assert_allclose(z[row].detach()[assignment], wanted, atol=1e-5)
        square = wanted.T @ wanted / 30
        np.testing.assert_allclose(found[row].detach(), square[np.triu_indices(5)], atol=1e-5)
        logits = wanted @ wanted.T
        losses.append(
            np.logaddexp(0, -logits)[adjacency > 0].mean() / 2 + np.logaddexp(0, logits)[adjacency == 0].mean() / 2
        )
    assert reconstruction(z, shares).item() == pytest.approx(np.mean(losses), rel=1e-4)


def test_gradients_reach_both_convolutions_as_by_autograd_on_the_graph() -> None:
    critic = Critic(CriticArchitecture(width=3, graph=Graph.CLIQUE, hidden=(7, 5), sizes=False))
    points, assignment = points_of(), assignments_of(1, 30)
    reconstruction(*critic.convolve(points, assignment)).backward()
    first, second = (weights.detach().double().requires_grad_() for weights in (critic.first, critic.second))
    adjacency = (assignment[0][:, None] == assignment[0]).double()
    normal = adjacency / adjacency.sum(1, keepdim=True)
    z = normal @ (normal @ points.x.double() @ first).relu() @ second
    losses = torch.nn.functional.binary_cross_entropy_with_logits(z @ z.T, adjacency, reduction="none")
    ((losses[adjacency > 0].mean() + losses[adjacency == 0].mean()) / 2).backward()
    for mine, other in ((critic.first, first), (critic.second, second)):
        torch.testing.assert_close(mine.grad.double(), other.grad, atol=1e-6, rtol=1e-3)


@given(st.integers(0, 10**6), st.sampled_from(Graph), st.integers(2, 40))
def test_names_of_clusters_and_order_of_points_do_not_count(seed: int, graph: Graph, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    critic = Critic(CriticArchitecture(width=2, graph=graph, hidden=(6, 4)), seed % 100)
    x = torch.randn(count, 2, generator=generator)
    assignment = torch.randint(5, (1, count), generator=generator)
    order, names = torch.randperm(count, generator=generator), torch.randperm(9, generator=generator)
    plain = critic.scores(critic.read(x), assignment)
    torch.testing.assert_close(critic.scores(critic.read(x), names[assignment]), plain, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(critic.scores(critic.read(x[order]), assignment[:, order]), plain, atol=1e-4, rtol=1e-3)


def rings() -> tuple[Tensor, Tensor]:
    angle = torch.arange(60) * 2 * torch.pi / 60
    ring = torch.stack([angle.cos(), angle.sin()], 1)
    return torch.cat([ring, 0.4 * ring]), torch.arange(120) // 60


@pytest.mark.parametrize(("graph", "seen"), [(Graph.CLIQUE, False), (Graph.NEIGHBOURS, True)])
def test_cliques_cannot_tell_two_rings_from_a_random_halving(graph: Graph, seen: bool) -> None:
    x, truth = rings()
    # Opposite points stay together, so that both halves have the means of the rings.
    halving = (torch.arange(60) % 30 % 2).repeat(2)
    critic = Critic(CriticArchitecture(width=2, graph=graph))
    points = critic.read(x)
    z, _ = dense(critic, points, truth)
    other, _ = dense(critic, points, halving)
    assert bool(np.abs(z.T @ z - other.T @ other).max() > 0.1) is seen
    mine, others = critic.embed(points, torch.stack([truth, halving])).detach()
    assert (float((mine - others).abs().max()) > 0.01) is seen


def test_a_population_is_scored_as_one_at_a_time() -> None:
    critic, points, assignments = Critic(CriticArchitecture(width=3)), points_of(90), assignments_of(9, 90)
    together = critic.scores(points, assignments)
    alone = torch.cat([critic.scores(points, row[None]) for row in assignments])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)
    assert together.unique().numel() == 9


def test_a_point_keeps_the_share_of_neighbours_in_its_cluster() -> None:
    points = PointSet(torch.zeros(4, 1), torch.tensor([[1, 2], [0, 2], [3, 1], [2, 0]]))
    share = kept(points, torch.tensor([[0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 2, 3]]))
    assert share.tolist() == [[0.5, 0.5, 0.5, 0.5], [1] * 4, [0] * 4]


@pytest.mark.parametrize(
    "change",
    [lambda x: 1e3 * x + 7, lambda x: 1e-30 * x, lambda x: torch.cat([x, x.new_zeros(20, 3)], 1), lambda x: x.flip(1)],
)
def test_coordinates_have_no_scale_place_or_order_of_features(change: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).exp()
    found = coordinates(x, 3)
    assert found.square().sum(1).mean().item() == pytest.approx(3)
    torch.testing.assert_close(coordinates(change(x), 3), found, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("shape", [(1, 3), (2, 3), (5, 2), (4, 9), (3, 0), (0, 2)])
def test_coordinates_have_the_width_whatever_the_set(shape: tuple[int, int]) -> None:
    for x in (torch.arange(shape[0] * shape[1]).view(shape).double().sin(), torch.full(shape, 0.1)):
        found = coordinates(x, 6)
        assert found.shape == (shape[0], 6)
        assert bool(found.isfinite().all())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(InputError, match=r"letters: holds values that are not finite; remove"):
        coordinates(torch.tensor([[1.0, value]]), 2, "letters")


def test_scores_refuse_assignments_of_another_set() -> None:
    critic, points = Critic(CriticArchitecture(width=3)), points_of()
    for assignments in (assignments_of(2, 29), assignments_of(2, 30) - 1, assignments_of(1, 30)[0]):
        with pytest.raises(ValueError, match="must be"):
            critic.scores(points, assignments)


def test_an_architecture_survives_its_header() -> None:
    form = CriticArchitecture(width=5, graph=Graph.CLIQUE, hidden=(3, 2), sizes=False)
    assert CriticArchitecture.from_header(form.to_header()) == form
    for change in ({"width": 0}, {"graph": "ring"}, {"hidden": [3]}, {"sizes": 1}, {"other": 1}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            CriticArchitecture.from_header({**form.to_header(), **change})


def test_convolved_has_no_activation_at_its_end() -> None:
    assert (convolved(torch.tensor([[[1.0]]]), torch.ones(1, 1), -torch.ones(1, 1)) < 0).all()


def test_even_coordinates_of_linear_images_are_alike() -> None:
    x = torch.randn(80, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 1.0])
    image = x @ torch.tensor([[0.6, -0.6], [-0.4, 0.8]]) * 30 + 7
    first, second = (coordinates(values, 2, even=True) for values in (x, image))
    torch.testing.assert_close(torch.cdist(first, first), torch.cdist(second, second), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(first.var(0), torch.ones(2), atol=0.02, rtol=0.02)
    assert not torch.allclose(torch.cdist(coordinates(x, 2), coordinates(x, 2)), torch.cdist(first, first), atol=1e-2)


def test_what_is_joined_among_equal_points_whose_neighbours_are_all_the_same() -> None:
    points = point_set(torch.cat([torch.zeros(400, 20), torch.randn(200, 20)]))
    assert len(points.edges.steps) == STEPS
    assert len(points.edges.here) > 1000
    together = torch.zeros(2, 600, dtype=torch.int64)
    together[1, 350:] = 1
    check_joined(points, together)


@given(st.integers(0, 2**31), st.integers(2, 60), st.integers(1, 6))
def test_what_is_joined(seed: int, count: int, k: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # A point in the middle of a sphere is a neighbour of all others.
    x = F.normalize(torch.randn(count, 12, generator=generator)) * torch.arange(count)[:, None].clamp(max=1)
    check_joined(point_set(x), torch.randint(k, (3, count), generator=generator))


def check_joined(points: PointSet, assignments: torch.Tensor) -> None:
    near = edges(points)
    for row, assignment in zip(joined(points, assignments), assignments, strict=True):
        inside = np.equal.outer(assignment.numpy(), assignment.numpy())
        component = connected_components(near * inside, directed=False)[1]
        np.testing.assert_allclose(row, np.bincount(component)[component] / inside.sum(1), atol=1e-6)
