"""predict-pairs, cluster and estimate-k, through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.hdf5 import read_hdf5
from clusterkit.artifacts.header import Header
from clusterkit.networks.read import read_cluster_nets, read_g


def scores(cli) -> dict[str, float]:
    return json.loads(cli("evaluate --json --quiet").out)["mean"]


def header_of(path: Path) -> Header:
    return read_assignments(path)[0]


def assigned(cli, line: str) -> np.ndarray:
    done = cli(f"{line} --json")
    assert done.code == 0, done.err
    _, found = read_assignments(Path(json.loads(done.out)["artifact"]))
    return found["all"].cluster


@pytest.mark.parametrize("loss", ["kcl", "ccl", "mcl"])
def test_true_pairs_give_the_true_clusters(loss, cli):
    line = f"cluster synthetic:blobs --pairs labels --loss {loss} --k 10 --epochs 20 --backbone mlp"
    done = cli(line)
    assert (done.code, done.out) == (0, "clusterkit-out/assignments.h5\n")
    assert scores(cli)["acc"] == 1
    assert header_of(Path("clusterkit-out/assignments.h5")).extra["uses_target_labels"] == "pairs"
    assert "the clustering used the target's labels: pairs" in cli("evaluate").err
    done = cli("estimate-k")
    assert done.code == 3


def test_simulated_errors_are_borne_until_dissimilar_pairs_are_mostly_wrong(cli, tmp_path):
    line = "cluster synthetic:blobs --k 5 --epochs 20 --backbone mlp --pairs simulated:"
    (tmp_path / "known.csv").write_text("0,1,cannot\n")
    assert cli(f"{line}0.6,0.9,0.3 --constraints known.csv").code == 0
    assert scores(cli)["acc"] > 0.95
    made = header_of(Path("clusterkit-out/assignments.h5"))
    assert made.config["pairs"] == "simulated:0.6,0.9,0.3"
    assert made.extra["uses_target_labels"] == "pairs with simulated errors"
    assert "the clustering used the target's labels: pairs with simulated errors" in cli("evaluate").err
    assert cli("estimate-k").code == 3
    assert cli(f"{line}1,0.1").code == 0
    assert scores(cli)["nmi"] < 0.5
    assert cli("cluster synthetic:blobs --k 5 --method spectral --pairs simulated:0.8,0.95").code == 0
    assert scores(cli)["acc"] > 0.95


@pytest.mark.parametrize("method", ["kmeans", "spectral"])
def test_the_methods_without_a_network(method, points, cli):
    done = cli(f"cluster synthetic:blobs --k 5 --method {method} --json")
    fields = json.loads(done.out)
    assert (fields["network"], fields["clusters"]) == (None, {"all": 5})
    assert scores(cli)["acc"] > 0.99
    _, found = read_assignments(points / "assignments.h5")
    assert np.array_equal(found["all"].prob, np.eye(5)[found["all"].cluster])
    assert not list(points.glob(".*"))


def test_the_headers_tell_where_assignments_come_from(points):
    made = header_of(points / "assignments.h5")
    assert set(made.inputs) == {"pairs", "ccn"}
    assert made.config["k"] == 10
    assert (made.extra["uses_target_labels"], made.extra["classes"]) == ("labels, in the training of G", None)
    pairs, groups = read_hdf5(points / "pairs.h5", "pairs")
    assert set(pairs.inputs) == {"g"}
    assert set(groups["all"]) == {"id", "logit"}


def test_the_oracle_is_marked_and_gives_no_estimate(points, cli):
    assert cli("predict-pairs synthetic:moons").code == 0
    done = cli("cluster --k known --epochs 2 --backbone mlp")
    assert done.code == 0
    assert "oracle" in done.err
    assert header_of(points / "assignments.h5").extra["uses_target_labels"] == "number of classes"
    done = cli("estimate-k")
    assert (done.code, done.out) == (3, "")
    assert "assignments.h5: used the target's labels (number of classes), so it gives no estimate" in done.err
    assert "run: clusterkit cluster --k 100" in done.err
    assert "used the target's labels: number of classes" in cli("evaluate").err


def test_estimate_k_wants_a_clustering(points, cli):
    done = cli("estimate-k --assignments adapted.h5")
    assert done.code == 3
    assert "adapted.h5: was made by adapt" in done.err
    cli("cluster --k 5 --epochs 1 --backbone mlp")
    assert "cluster again with a larger --k" in cli("estimate-k").err


def test_both_forms_of_pairs_say_the_same(points, cli):
    dense = assigned(cli, "cluster --k 10 --epochs 3 --backbone mlp")
    assert cli("predict-pairs synthetic:blobs --form factored").code == 0
    _, groups = read_hdf5(points / "pairs.h5", "pairs")
    assert set(groups["all"]) == {"id", "u", "v", "weight", "bias"}
    factored = assigned(cli, "cluster --k 10 --epochs 3 --backbone mlp")
    assert (dense == factored).mean() > 0.99
    assert cli("estimate-k").out == "5\n"


def test_constraints_change_the_result(points, cli):
    before = assigned(cli, "cluster --k 10 --epochs 8 --backbone mlp")
    first, second = np.flatnonzero(before == before[0]), np.flatnonzero(before != before[0])
    other = second[before[second] == before[second[0]]]
    lines = ["id_a,id_b,kind", *(f"{a},{b},must" for a in first for b in other)]
    Path("links.csv").write_text("\n".join(lines) + "\n")
    after = assigned(cli, "cluster --k 10 --epochs 8 --backbone mlp --constraints links.csv")
    assert after[first[0]] == after[other[0]]
    assert len(np.unique(after)) == len(np.unique(before)) - 1
    made = header_of(points / "assignments.h5")
    assert made.config["constraints"] == "links.csv"
    assert len(made.inputs["constraints"]) == 64
    assert cli("cluster --k 5 --method spectral --constraints links.csv").code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "1,2,maybe\n",
            "line 1: '1,2,maybe' is not ITEM,ITEM,must|cannot; write two items and a word, as in 0,17,must",
        ),
        ("1,2\n", "line 1"),
        (
            "1,2,must\n2,1,cannot\n",
            "line 2 says that 2 and 1 cannot be together, but line 1 ties them (2 - 1); remove one",
        ),
        ("", "no constraints in it"),
        ("1,5000,must\n", "no item 5000 in synthetic:blobs"),
        ("\xff\xfe", "links.csv"),
    ],
)
def test_constraints_that_are_none(text, said, points, cli):
    Path("links.csv").write_bytes(text.encode("latin-1"))
    done = cli("cluster --k 10 --epochs 1 --backbone mlp --constraints links.csv")
    assert (done.code, done.out) == (3, "")
    assert "links.csv" in done.err
    assert said in done.err
    assert cli("cluster --k 10 --constraints nowhere.csv").code == 3


def test_the_health_of_pairs(points, cli):
    done = cli("predict-pairs synthetic:blobs --json")
    signs = json.loads(done.out)["health"]["all"]
    assert set(signs) == {"similar_rate", "asymmetry", "transitivity_violations"}
    assert 0.15 < signs["similar_rate"] < 0.25


def test_seeds_change_results_and_equal_seeds_do_not(points, cli):
    line = "cluster --k 10 --epochs 1 --backbone mlp"
    first, same, other = assigned(cli, line), assigned(cli, line), assigned(cli, f"{line} --seed 1")
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_no_true_label_is_in_the_files(points, cli):
    """The same points under other labels give the same pairs and assignments."""
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 3)).astype(np.float32)
    results = []
    for y in (np.arange(60) % 3, np.arange(60) % 7):
        np.savez("a.npz", x=x, y=y)
        cli("train-g synthetic:blobs --backbone mlp --hidden 8 --epochs 1 --workdir other")
        np.savez("b.npz", x=x[:, :2], y=y)
        assert cli("predict-pairs arrays:b.npz --workdir other").code == 0
        assert cli("cluster --k 5 --epochs 1 --backbone mlp --workdir other").code == 0
        results.append([Path("other", name).read_bytes() for name in ("pairs.h5", "assignments.h5")])
    assert results[0] == results[1]


def test_ccn_starts_from_the_backbone_of_g(points, cli):
    done = cli("cluster --k 10 --init g --epochs 8")
    assert done.code == 0, done.err
    assert scores(cli)["acc"] > 0.99
    made = header_of(points / "assignments.h5")
    assert set(made.inputs) == {"pairs", "g", "ccn"}
    _, networks = read_cluster_nets(points / "ccn.safetensors")
    _, g = read_g(points / "g.safetensors")
    weights = dict(networks["all"].backbone.named_parameters())
    assert all(weight.equal(weights[name]) for name, weight in g.backbone.named_parameters())
    done = cli("assign synthetic:blobs --json")
    _, again = read_assignments(Path(json.loads(done.out)["artifact"]))
    _, found = read_assignments(points / "assignments.h5")
    assert (again["all"].cluster == found["all"].cluster).all()


def test_ccn_wants_the_g_of_its_pairs(points, cli, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    (points / "pairs.h5").rename(alone / "pairs.h5")
    for line in ("cluster --k 10 --init g --pairs alone/pairs.h5", "cluster --k 10 --init g --workdir alone"):
        done = cli(line)
        assert (done.code, done.out) == (3, "")
        assert "pairs.h5: the g.safetensors that predicted it is not beside it" in done.err
    assert cli("cluster --k 10 --pairs alone/pairs.h5 --backbone mlp --epochs 1").code == 0
    # In a folder of its own, with G beside its pairs and another work folder for what comes out.
    (points / "g.safetensors").rename(alone / "g.safetensors")
    assert cli("cluster --k 10 --init g --pairs alone/pairs.h5 --epochs 1 --workdir elsewhere").code == 0


def test_a_network_sees_characters_varied_as_asked(cli):
    line = "cluster digits --k 10 --pairs labels --backbone lenet --epochs 1"
    found = [assigned(cli, f"{line} {option}") for option in ("", "--variation mild", "--variation erased")]
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    assert header_of(Path("clusterkit-out/assignments.h5")).config["options"]["variation"] == "erased"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--k 5 --backbone mlp", "--variation erased: synthetic:blobs holds vectors, not characters; leave it out"),
        ("--k 5 --method spectral", "--variation: --method spectral does not use it"),
        ("--k 5 --method spectral --variation mild", "--variation: --method spectral does not use it"),
    ],
)
def test_what_is_not_for_vectors_or_without_a_network(line, message, points, cli):
    done = cli(f"cluster --variation erased {line}")
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_rounds_go_on_from_what_neighbours_confirm(cli):
    done = cli("cluster digits@0-4 --k 5 --pairs simulated:0.5,0.9 --loss kcl --backbone mlp --epochs 20 --rounds 2")
    assert done.code == 0, done.err
    assert "clusterkit: cluster all, round 2: 9" in done.err
    assert scores(cli)["acc"] > 0.98
    assert header_of(Path("clusterkit-out/assignments.h5")).config["options"]["rounds"] == 2


@pytest.mark.parametrize("start", ["--backbone mlp --epochs 8", "--init g --epochs 8"])
def test_constraints_hold_in_every_round(start, points, cli):
    before = assigned(cli, f"cluster --k 10 {start}")
    first, second = before[0], before[before != before[0]][0]
    lines = [f"{a},{b},must" for a in np.flatnonzero(before == first) for b in np.flatnonzero(before == second)]
    Path("links.csv").write_text("\n".join(lines) + "\n")
    after = assigned(cli, f"cluster --k 10 {start} --constraints links.csv --rounds 2")
    assert len(np.unique(after[(before == first) | (before == second)])) == 1
