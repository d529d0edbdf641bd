"""The table of a report, against values by hand and by brute force."""

import csv
import io

import numpy as np
import pytest
import torch

from clusterkit.artifacts.assignments import Assignment
from clusterkit.datasets.base import Subset
from clusterkit.pairs import source
from clusterkit.report.features import of_another_cluster
from clusterkit.report.rows import Row, certainty, rows_of, to_csv


def assigned(cluster: list[int], prob: list[list[float]]) -> Assignment:
    return Assignment(np.arange(len(cluster)), np.array(cluster, np.int32), np.array(prob, np.float32))


def hard(cluster: list[int], k: int) -> Assignment:
    prob = np.zeros((len(cluster), k), np.float32)
    for item, number in enumerate(cluster):
        if number >= 0:
            prob[item, number] = 1
    return Assignment(np.arange(len(cluster)), np.array(cluster, np.int32), prob)


def test_margins_of_probabilities() -> None:
    prob = [[0.75, 0.15, 0.1], [0.5, 0.0, 0.5], [0.1, 0.9, 0.0], [0.9, 0.1, 0.0]]
    values = np.arange(8, dtype=np.float32).reshape(4, 2)
    sure = certainty(assigned([0, 0, 1, 0], prob), values)
    assert not sure.of_distances
    assert sure.probability == pytest.approx([0.75, 0.5, 0.9, 0.9])
    assert sure.margin == pytest.approx([0.6, 0, 0.8, 0.8], abs=1e-6)
    assert sure.rank.tolist() == [2, 3, 1, 1]
    assert sure.doubtful.tolist() == [1]


def test_margins_of_distances() -> None:
    # The means are 0 and 10; the last item is in the first cluster, but nearer to the mean of the second.
    values = np.array([[0], [-8], [8], [9], [11]], np.float32)
    sure = certainty(hard([0, 0, 0, 1, 1], 2), values)
    assert sure.of_distances
    assert sure.probability is None
    assert sure.margin == pytest.approx([1, 10 / 18, (2 - 8) / 8, 8 / 9, 10 / 11])
    assert sure.rank.tolist() == [1, 2, 3, 2, 1]
    assert sure.doubtful.tolist() == [2]


def test_equal_margins_are_ranked_by_the_distance_to_the_mean() -> None:
    values = np.array([[5], [0], [-4], [90]], np.float32)
    sure = certainty(assigned([0, 0, 0, 1], [[0.9, 0.1]] * 3 + [[0.2, 0.8]]), values)
    assert sure.rank.tolist() == [3, 1, 2, 1]


def test_unassigned_items_and_a_single_cluster_have_no_margin() -> None:
    values = np.array([[0], [1], [5]], np.float32)
    sure = certainty(hard([0, 0, -1], 1), values)
    assert np.isnan(sure.margin).all()
    assert sure.rank.tolist() == [1, 2, 0]
    assert sure.doubtful.tolist() == []
    nothing = certainty(hard([-1, -1, -1], 1), values)
    assert nothing.rank.tolist() == [0, 0, 0]
    assert of_another_cluster(values, np.array([-1, -1, -1], np.int32)).tolist() == [-1, -1, -1]


def test_neighbours_are_the_nearest_of_another_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(700, 5)).astype(np.float32)
    cluster = rng.integers(-1, 4, 700).astype(np.int32)
    found = of_another_cluster(values, cluster)
    monkeypatch.setattr(source, "AT_A_TIME", 9 * 700)
    assert (of_another_cluster(values, cluster) == found).all()
    for item in range(0, 700, 7):
        others = np.flatnonzero((cluster >= 0) & (cluster != cluster[item]))
        nearest = others[np.linalg.norm(values[others] - values[item], axis=1).argmin()]
        assert found[item] == nearest
    assert (of_another_cluster(values, np.zeros(700, np.int32)) == -1).all()


def test_rows_have_names_classes_and_truth() -> None:
    values = torch.tensor([[0.0], [1.0], [9.0]])
    subset = Subset("all", values, torch.tensor([4, 5, 6]), torch.tensor([1, -1, 0]), ("a.png", "b.png", "c.png"))
    assignment = Assignment(subset.ids.numpy(), *(getattr(hard([1, -1, 0], 2), name) for name in ("cluster", "prob")))
    sure = certainty(assignment, values.numpy())
    rows = rows_of(subset, assignment, sure, values.numpy(), ["cat", "dog"], ["x", "y"])
    assert [(row.id, row.path, row.name, row.truth) for row in rows] == [
        (4, "a.png", "dog", "y"), (5, "b.png", None, None), (6, "c.png", "cat", "x"),
    ]  # fmt: skip
    assert [(row.cluster, row.rank, row.neighbour, row.neighbour_cluster) for row in rows] == [
        (1, 1, "c.png", 0), (-1, None, "a.png", 1), (0, 1, "a.png", 1),
    ]  # fmt: skip
    unnamed = rows_of(Subset("all", values, subset.ids, None), assignment, sure, values.numpy(), None, None)
    first = unnamed[0]
    assert (first.path, first.name, first.truth, first.neighbour) == (None, None, None, "6")


NAMES = ["=cmd|' /C calc'!A0", "+1", "-2.png", "@x", "\t=1", 'a,b"c', "new\nline", "<script>", "é", "plain.png"]


def row(name: str, **fields: object) -> Row:
    values: dict[str, object] = {
        "subset": "all", "id": 1, "path": name, "cluster": -1, "name": None, "probability": None, "margin": -0.5,
        "rank": None, "neighbour": name, "neighbour_cluster": None, "truth": name, **fields,
    }  # fmt: skip
    return Row(**values)  # type: ignore[arg-type]


def test_no_cell_is_a_formula_and_every_name_comes_back() -> None:
    table = list(csv.DictReader(io.StringIO(to_csv([row(name) for name in NAMES], truth=True), newline="")))
    assert [line["path"].removeprefix("'") for line in table] == NAMES
    for line in table:
        for column in ("path", "neighbour", "truth"):
            assert line[column][0] not in "=+-@\t\r"
        assert (line["cluster"], line["margin"], line["rank"]) == ("-1", "-0.5", "")


def test_the_truth_is_a_column_only_if_it_is_asked_for() -> None:
    assert "truth" not in to_csv([row("a")], truth=False).splitlines()[0]
    assert to_csv([row("a")], truth=True).splitlines()[0].endswith(",truth")
