import json
import shutil

import pytest

from clusterkit.artifacts.header import VERSION
from clusterkit.cli.evaluate import check_gates
from clusterkit.errors import GateError

LINES = {
    "train-g synthetic:blobs --backbone mlp --hidden 8 --epochs 1": "g.safetensors",
    "self-train synthetic:blobs --rounds 1": "self-trained.safetensors",
    "predict-pairs synthetic:blobs": "pairs.h5",
    "cluster --k 10 --epochs 1 --backbone mlp": "assignments.h5",
    "cluster --k 5 --method spectral": "assignments.h5",
    "cluster synthetic:blobs --k 5 --method kmeans": "assignments.h5",
    "adapt synthetic:blobs synthetic:blobs --steps 1 --backbone mlp": "adapted.h5",
}
FIELDS = {
    "train-g": {"artifact", "held_out", "warnings"},
    "self-train": {"artifact", "dataset"},
    "predict-pairs": {"artifact", "dataset", "health", "warnings"},
    "cluster": {"artifact", "network", "dataset", "clusters", "warnings"},
    "adapt": {"artifact", "network", "dataset"},
    "estimate-k": {"artifact", "estimator", "recommended", "estimates", "warnings"},
    "evaluate": {"artifact", "dataset", "subsets", "mean"},
    "assign": {"artifact", "dataset"},
}


@pytest.mark.parametrize(("line", "name"), LINES.items())
def test_a_writing_stage_prints_its_path(line, name, points, cli):
    done = cli(line)
    assert (done.code, done.out) == (0, f"clusterkit-out/{name}\n")
    assert done.err
    assert all(row.startswith("clusterkit: ") for row in done.err.splitlines())
    assert "\x1b" not in done.err
    quiet = cli(f"{line} --quiet")
    texts = ("trained with labels of synthetic:blobs", "the clustering is unsure")
    warnings = [row for row in done.err.splitlines() if any(text in row for text in texts)]
    assert (quiet.code, quiet.out, quiet.err.splitlines()) == (0, done.out, warnings)


@pytest.mark.parametrize("line", [*LINES, "estimate-k", "evaluate", "assign synthetic:blobs"])
def test_json_is_one_object(line, points, cli):
    done = cli(f"{line} --json")
    assert done.code == 0
    assert done.out.count("\n") == 1
    fields = json.loads(done.out)
    assert set(fields) >= FIELDS[line.split()[0]]
    assert (points.parent / fields["artifact"]).exists()


def test_estimate_k_prints_an_integer(points, cli):
    done = cli("estimate-k")
    assert (done.code, done.out) == (0, "5\n")
    assert "ndc 5" in done.err
    assert "eigengap" in done.err
    assert "spread" in done.err


def test_estimate_k_prints_a_line_a_subset(letters, cli):
    done = cli("estimate-k")
    assert done.code == 0
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert [name for name, _ in rows] == ["Morwen", "Nastric", "Ostrava"]
    assert all(number.isdecimal() for _, number in rows)


def test_evaluate_prints_names_and_values(points, letters_made, cli):
    shutil.copytree(letters_made, "letters")
    done = cli("evaluate")
    rows = dict(line.split("\t") for line in done.out.splitlines())
    assert list(rows)[:3] == ["acc", "nmi", "ari"]
    assert float(rows["acc"]) == 1
    rows = dict(line.split("\t") for line in cli("evaluate --workdir letters --quiet").out.splitlines())
    assert {"acc", "acc/Morwen", "acc/Nastric", "acc/Ostrava"} <= set(rows)
    parts = [float(rows[f"acc/{name}"]) for name in ("Morwen", "Nastric", "Ostrava")]
    assert float(rows["acc"]) == pytest.approx(sum(parts) / 3, abs=1e-3)


def test_the_gate(points, cli):
    assert cli("evaluate --fail-under acc=0.5 --fail-under nmi=1").code == 0
    done = cli("evaluate --fail-under acc=0.5 --fail-under clusters=6")
    assert done.code == 4
    assert done.out.startswith("acc\t1.0000\n")
    assert done.err.splitlines()[-1] == "clusterkit: error: --fail-under: clusters is 5.0000, below 6.0"
    done = cli("evaluate --fail-under purity=0.5")
    assert done.code == 2
    assert "--fail-under purity: no such score here; there are acc, nmi" in done.err


def test_a_score_may_miss_its_gate_by_rounding():
    check_gates({"nmi": 1 - 2e-16}, [("nmi", 1.0)])
    with pytest.raises(GateError, match=r"nmi is 1\.0000, below 1\.0"):
        check_gates({"nmi": 0.99999}, [("nmi", 1.0)])


def test_inspect_shows_every_artifact(points, cli):
    formats = {
        "g.safetensors": "g", "pairs.h5": "pairs", "ccn.safetensors": "ccn", "assignments.h5": "assignments",
        "adapted.safetensors": "adapted", "adapted.h5": "assignments", "k.json": "k", "evaluation.json": "evaluation",
    }  # fmt: skip
    assert {path.name for path in points.iterdir()} == set(formats)
    for name, format in formats.items():
        done = cli(f"inspect clusterkit-out/{name}")
        assert (done.code, done.err) == (0, "")
        rows = dict(line.split("\t") for line in done.out.splitlines())
        assert rows["header.format"] == format
        assert rows["header.version"] == str(VERSION)
        assert any(row.startswith("content.") for row in rows)
        fields = json.loads(cli(f"inspect --json clusterkit-out/{name}").out)
        assert fields["header"]["digest"] == rows["header.digest"]
        assert fields["header"]["dataset"]["name"] == "synthetic:blobs"
        text = json.dumps(fields)
        assert str(points) not in text
        assert "clusterkit-out" not in text


def test_help_of_k_known_says_oracle(cli):
    assert "oracle" in cli("cluster --help").out
