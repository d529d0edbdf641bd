"""Constraints through the command line: they hold, alone or over other pairs, and the result says how many do."""

import json
from pathlib import Path

import numpy as np
import pytest

import clusterkit
from clusterkit.artifacts.assignments import read_assignments
from clusterkit.metrics.clustering import accuracy
from tests.conftest import Cli, Done

OUT = Path("clusterkit-out")
MUST, CANNOT = 47, 352


@pytest.fixture
def overlapping() -> np.ndarray:
    """1,000 vectors of ten overlapping groups in points.npz and 399 true links in links.csv; return the labels."""
    rng = np.random.default_rng(1)
    labels = rng.permutation(np.arange(1000) % 10)
    x = (0.4 * rng.normal(size=(10, 64)))[labels] + rng.normal(size=(1000, 64))
    np.savez("points.npz", x=x.astype(np.float32))
    pairs = rng.permutation(np.unique(np.sort(rng.integers(1000, size=(6000, 2)), 1), axis=0))
    same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    must, cannot = pairs[same & (pairs[:, 0] != pairs[:, 1])][:MUST], pairs[~same][:CANNOT]
    lines = [f"{a},{b},must-link" for a, b in must] + [f"{a},{b},cannot" for a, b in cannot]
    Path("links.csv").write_text("\n".join(lines))
    return labels


def found() -> np.ndarray:
    return read_assignments(OUT / "assignments.h5")[1]["all"].cluster


def fails(done: Done, code: int, *words: str) -> None:
    assert (done.code, done.out) == (code, ""), done.err
    assert done.err.count("clusterkit: error: ") == 1, done.err
    for word in words:
        assert word in done.err


@pytest.mark.parametrize("method", ["ccn --backbone mlp", "csp", "itml", "mpckmeans"])
def test_few_constraints_alone_hold_and_help(method: str, overlapping: np.ndarray, cli: Cli) -> None:
    assert cli("cluster arrays:points.npz --k 10 --method kmeans").code == 0
    by_values = accuracy(found(), overlapping)
    assert 0.6 < by_values < 0.95
    done = cli(f"cluster arrays:points.npz --k 10 --method {method} --constraints links.csv --json")
    assert done.code == 0, done.err
    counts = json.loads(done.out)["constraints"]["all"]
    assert (counts["must"]["of"], counts["cannot"]["of"]) == (MUST, CANNOT)
    assert counts["must"]["held"] >= 0.95 * MUST
    assert counts["cannot"]["held"] >= 0.95 * CANNOT
    held = f"{counts['must']['held']} of 47 must-links and {counts['cannot']['held']} of 352 cannot-links hold"
    assert f"cluster all: {held}\n" in done.err
    assert "using the constraints alone, as clusterkit-out has neither pairs.h5 nor g.safetensors" in done.err
    header, _ = read_assignments(OUT / "assignments.h5")
    assert header.extra["constraints"] == {"all": counts}
    assert (header.config["pairs"], header.extra["uses_target_labels"]) == ("constraints", "no")
    assert "pairs" not in header.inputs
    assert accuracy(found(), overlapping) >= by_values


WRONG = "cluster arrays:a.npz --k 6 --backbone mlp --constraints links.csv --pairs"


@pytest.fixture
def contradicted() -> None:
    """120 vectors of six groups in a.npz, and in links.csv links that the labels contradict."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 6
    x = 3 * rng.normal(size=(6, 8))[labels] + rng.normal(size=(120, 8))
    np.savez("a.npz", x=x.astype(np.float32), y=labels)
    lines = [f"{i},{i + 1},must" for i in range(0, 30, 6)] + [f"{i},{i + 6},cannot" for i in range(30, 60, 6)]
    Path("links.csv").write_text("a,b,kind\n" + "\n".join(lines))


@pytest.mark.parametrize("loss", ["ccl", "kcl"])
def test_a_network_learns_constraints_against_other_pairs(loss: str, contradicted: None, cli: Cli) -> None:
    line = f"{WRONG} labels --loss {loss} --epochs 125"
    done = cli(f"{line} --json")
    assert done.code == 0, done.err
    assert "cluster all, constraints: training on, as some constraints do not hold yet" in done.err
    assert json.loads(done.out)["constraints"]["all"] == {"must": {"held": 5, "of": 5}, "cannot": {"held": 5, "of": 5}}
    history = clusterkit.load(OUT / "ccn.safetensors").header["extra"]["history"]["all"]
    assert list(history) == ["round 1", "round 1, constraints"]
    first = (OUT / "assignments.h5").read_bytes()
    assert cli(line).code == 0
    assert (OUT / "assignments.h5").read_bytes() == first
    assert cli("assign arrays:a.npz").code == 0
    assert (clusterkit.load(OUT / "assigned.h5")["all"]["cluster"] == found()).all(), "as the network says"


def test_what_does_not_hold_is_named(contradicted: None, cli: Cli) -> None:
    done = cli(f"{WRONG} labels --epochs 60 --constraint-weight 0.001 --json")
    counts = json.loads(done.out)["constraints"]["all"]
    assert counts["must"]["held"] + counts["cannot"]["held"] < 10, "a small weight is a small weight"
    assert "clusterkit: cluster all: these constraints do not hold: 0 and 1 (must), 6 and 7 (must)" in done.err
    assert " more\n" in done.err
    assert "these constraints do not hold" in cli(f"{WRONG} labels --epochs 60 --constraint-weight 0.001 --quiet").err


def test_a_training_that_holds_constraints_goes_on(
    contradicted: None, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"{WRONG} labels --epochs 60"
    assert cli(line).code == 0
    whole = found()
    from clusterkit.methods import ccn

    fit, calls = ccn.fit, []

    def once(*arguments: object, **more: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ccn, "fit", once)
    assert cli(line).code == 130
    monkeypatch.setattr(ccn, "fit", fit)
    done = cli(f"{line} --resume")
    assert "cluster all: resumed after epoch" in done.err
    assert (found() == whole).all()


def test_constraints_weigh_on_a_head_of_g(points: Path, cli: Cli) -> None:
    assert cli("cluster --k 8 --epochs 60 --loss kcl --init g").code == 0
    before = found()
    first = np.flatnonzero(before == before[0])
    Path("links.csv").write_text("\n".join(f"{a},{b},cannot" for a, b in zip(first[:9], first[9:18], strict=True)))
    done = cli("cluster --k 8 --epochs 60 --loss kcl --init g --constraints links.csv --json")
    held = json.loads(done.out)["constraints"]["all"]["cannot"]
    assert held["of"] == 9
    assert held["held"] >= 1
    assert "constraints: training on" in done.err


def test_constraints_are_read_before_pairs_are_predicted(points: Path, cli: Cli) -> None:
    (points / "pairs.h5").unlink()
    before = (points / "assignments.h5").read_bytes()
    Path("links.csv").write_text("0,1,must\n1,2,must\n2,0,cannot\n")
    for line in ("", "--k auto", "--method spectral --k 5"):
        fails(
            cli(f"cluster synthetic:blobs {line} --constraints links.csv"),
            3,
            "line 3 says that 2 and 0 cannot",
            "lines 2 and 1 tie them",
        )
    assert not (points / "pairs.h5").exists()
    assert (points / "assignments.h5").read_bytes() == before
    Path("links.csv").write_text("0,1,must\n")
    done = cli("cluster synthetic:blobs --backbone mlp --epochs 1 --k 8 --constraints links.csv")
    assert "predicting pairs first" in done.err, "a G is there, so the constraints are not alone"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--constraint-weight 2", ("--constraint-weight: there are no constraints to weigh; add --constraints FILE",)),
        ("--constraints c.csv --constraint-weight 0", ("--constraint-weight 0.0: give a number above 0",)),
        ("--constraints c.csv --constraint-weight -1", ("--constraint-weight -1.0: give a number above 0",)),
        ("--constraints c.csv --constraint-weight nan", ("--constraint-weight nan: give a finite number",)),
        ("--constraints c.csv --constraint-weight 2 --method kmeans", ("--constraints", "kmeans uses no pairs")),
        (
            "--constraints c.csv --constraint-weight 2 --method agglomerative --pairs labels",
            ("--constraint-weight: --method agglomerative weighs no pairs, but keeps all must-links; leave it out",),
        ),
        *(
            (
                f"--constraints c.csv --constraint-weight 2 --method csp{pairs}",
                ("--constraint-weight: --method csp weighs no constraints that are alone; leave it out",),
            )
            for pairs in ("", " --pairs constraints")
        ),
        ("--pairs constraints", ("--pairs constraints: no constraints are named; add --constraints FILE",)),
        *(
            (
                f"--constraints c.csv --method {method}{pairs}",
                ("needs the probability of every pair", "mpckmeans"),
            )
            for method in ("spectral", "agglomerative")
            for pairs in ("", " --pairs constraints")
        ),
        ("--constraints c.csv --pairs constraints --k auto", ("--k auto: --pairs constraints gives no estimate of K",)),
        ("--constraints c.csv --init g", ("--init g: no G predicted --pairs constraints",)),
    ],
)
def test_what_constraints_cannot_do_is_refused(line: str, words: tuple[str, ...], contradicted: None, cli: Cli) -> None:
    Path("c.csv").write_text("0,6,must\n")
    k = "" if "--k" in line else " --k 4"
    done = cli(f"cluster arrays:a.npz {line}{k}")
    assert (done.code, done.out) == (2, "")
    assert "using the constraints alone" not in done.err
    for word in words:
        assert word in done.err
    assert not OUT.exists()


def test_constraints_alone_need_the_name_of_a_set(cli: Cli) -> None:
    Path("c.csv").write_text("0,6,must\n")
    fails(
        cli("cluster --k 4 --constraints c.csv --pairs constraints"), 2, "name the data set too", "--pairs constraints"
    )


def test_constraints_name_the_pictures_of_a_folder(tmp_path: Path, cli: Cli) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for number in range(12):
        grey = rng.integers(0, 60, (16, 16)) + 150 * (number % 2)
        Image.fromarray(grey.astype(np.uint8)).save(tmp_path / "pictures" / f"p{number:02}.png")
    Path("c.csv").write_text("p00.png,pictures/p01.png,must\np02.png,./pictures/p04.png,cannot-link\n")
    line = "cluster folder:pictures --k 3 --method mpckmeans --constraints c.csv"
    for grown in (False, True):
        if grown:
            Image.new("L", (16, 16)).save(tmp_path / "pictures" / "a.png")
        done = cli(line)
        assert done.code == 0, done.err
        assert "cluster all: 1 of 1 must-links and 1 of 1 cannot-links hold" in done.err
        cluster = found()[1:] if grown else found()
        assert cluster[0] == cluster[1]
        assert cluster[2] != cluster[4]
    Path("c.csv").write_text("p00.png,p1.png,must\n")
    fails(cli(line), 3, "c.csv, line 1: no item p1.png in folder:pictures (did you mean p11.png?)")
