import json
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.cli.counting import outputs_of, sizes, with_many_outputs
from clusterkit.config import Backbone, ClusterConfig
from clusterkit.datasets.overlap import covers
from clusterkit.networks.read import read_cluster_nets
from clusterkit.pairs.read import PairInput
from clusterkit.stages import estimate_k

CLUSTER = "cluster --k 10 --epochs 1 --backbone mlp"


def automatic(cli) -> bool:
    fields = json.loads(cli("inspect clusterkit-out/pairs.h5 --json").out)
    return fields["header"]["config"]["automatic"]


def test_nothing_to_start_from(cli, tmp_path):
    for line in ("cluster", "cluster digits", "adapt digits digits", "predict-pairs digits"):
        done = cli(line)
        assert (done.code, done.out) == (3, "")
        [message] = done.err.splitlines()
        assert message.endswith("clusterkit-out/g.safetensors: no such file; make it with: clusterkit train-g DATASET")
    done = cli("cluster --method kmeans")
    assert (done.code, done.out) == (2, "")
    assert "DATASET: name the set that --method kmeans clusters" in done.err
    assert not (tmp_path / "clusterkit-out").exists()


def test_a_set_without_a_target(points, cli):
    (points / "pairs.h5").unlink()
    done = cli(CLUSTER)
    assert done.code == 2
    assert "name the data set: synthetic:blobs" in done.err


@pytest.mark.parametrize("line", ["cluster synthetic:blobs@0 --k 700", "cluster synthetic:blobs --k 600 --method csp"])
def test_a_k_that_is_too_large_is_refused_before_pairs_are_predicted(line, points, cli):
    (points / "pairs.h5").unlink()
    done = cli(line)
    assert (done.code, done.out) == (2, "")
    assert "items in subset all; give a smaller number" in done.err
    assert "predicting" not in done.err
    assert not (points / "pairs.h5").exists()


def test_missing_pairs_are_predicted_and_said(points, cli):
    (points / "pairs.h5").unlink()
    done = cli(f"{CLUSTER} synthetic:blobs")
    assert (done.code, done.out) == (0, "clusterkit-out/assignments.h5\n")
    assert "predicting pairs first (there are none yet), as clusterkit predict-pairs does" in done.err
    assert automatic(cli)
    assert "predicting" not in cli(CLUSTER).err


@pytest.mark.parametrize("line", [CLUSTER, "adapt synthetic:blobs synthetic:blobs --steps 1 --backbone mlp"])
def test_automatic_pairs_are_predicted_again_after_a_new_g(line, points, cli):
    (points / "pairs.h5").unlink()
    cli(f"{CLUSTER} synthetic:blobs")
    cli("train-g synthetic:blobs --backbone mlp --hidden 32 --epochs 1 --seed 1")
    done = cli(line)
    assert done.code == 0
    assert "predicting pairs first (those of synthetic:blobs are by an earlier g.safetensors)" in done.err


def test_automatic_pairs_follow_the_data_set(points, cli):
    (points / "pairs.h5").unlink()
    cli(f"{CLUSTER} synthetic:blobs")
    for name in ("synthetic:moons", "synthetic:blobs@0-2", "synthetic:blobs"):
        done = cli(f"{CLUSTER} {name}")
        assert done.code == 0
        assert "predicting pairs first" in done.err
        assert f"header.dataset.name\t{name}\n" in cli("inspect clusterkit-out/pairs.h5").out


def test_pairs_that_were_asked_for_are_never_replaced(points, cli):
    before = (points / "pairs.h5").read_bytes()
    assert not automatic(cli)
    done = cli(f"{CLUSTER} synthetic:moons")
    assert (done.code, done.out) == (3, "")
    assert "run: clusterkit predict-pairs synthetic:moons" in done.err
    assert (points / "pairs.h5").read_bytes() == before


@pytest.mark.parametrize(
    "line", [f"{CLUSTER} synthetic:blobs", "adapt synthetic:blobs synthetic:blobs --steps 1 --backbone mlp"]
)
def test_pairs_that_are_named_are_neither_made_nor_replaced(line, points, cli, tmp_path):
    (points / "pairs.h5").rename("pairs.h5")
    done = cli(f"{line} --pairs pairs.h5")
    assert done.code == 0, "of the current folder, where the work folder has none"
    assert not (points / "pairs.h5").exists()
    (tmp_path / "pairs.h5").unlink()
    done = cli(f"{line} --pairs pairs.h5")
    assert (done.code, done.out) == (3, "")
    assert "clusterkit-out/pairs.h5: no such file" in done.err
    assert not (points / "pairs.h5").exists()


def test_damaged_automatic_pairs(points, cli):
    (points / "pairs.h5").unlink()
    cli(f"{CLUSTER} synthetic:blobs")
    data = (points / "pairs.h5").read_bytes()
    (points / "pairs.h5").write_bytes(data[:-5000])
    done = cli(f"{CLUSTER} synthetic:blobs")
    assert done.code == 3
    assert "pairs.h5: damaged" in done.err
    assert "make it again with: clusterkit predict-pairs" in done.err


def test_pairs_by_another_name_are_neither_made_nor_replaced(points, cli):
    done = cli(f"{CLUSTER} --pairs ./other.h5")
    assert done.code == 3
    assert "other.h5: no such file" in done.err
    shutil.move(points / "pairs.h5", points / "kept.h5")
    assert cli(f"{CLUSTER} --pairs kept.h5").code == 0
    assert not (points / "pairs.h5").exists()


def test_methods_without_pairs_need_none(points, cli):
    (points / "pairs.h5").unlink()
    for line in (
        "cluster synthetic:blobs --k 5 --method kmeans",
        "cluster synthetic:blobs --k 5 --pairs labels --epochs 1 --backbone mlp",
        "adapt synthetic:blobs synthetic:blobs --method source-only --steps 1 --backbone mlp",
    ):
        assert cli(line).code == 0
    assert not (points / "pairs.h5").exists()


def test_a_subset_is_clustered_by_the_pairs_of_the_whole(letters, cli):
    done = cli("cluster glyphs_eval/Nastric@12-27,40-47 --k 25 --epochs 1 --backbone mlp")
    assert done.code == 0
    assert "predicting" not in done.err
    assert list(json.loads(cli("evaluate --json").out)["subsets"]) == ["Nastric"]


def test_what_covers_what():
    assert covers("glyphs_eval", "glyphs_eval")
    assert covers("glyphs_eval", "glyphs_eval/Nastric")
    assert not covers("glyphs_eval/Nastric", "glyphs_eval")
    assert not covers("glyphs_eval/Nastric", "glyphs_eval/Morwen")
    assert not covers("glyphs_eval@0-3", "glyphs_eval")
    assert not covers("glyphs_eval", "glyphs_bg")
    assert not covers("folder:/a/b", "folder:/a/c")
    assert covers("folder:/a/b", "folder:/a/b")


AUTO = "cluster --k auto --epochs 1 --backbone mlp"


@pytest.fixture
def letters_with_pairs(cli, tmp_path):
    """Glyphs, and the pairs of a G that has hardly been trained."""
    cli("train-g glyphs_bg@0-11 --size 16 --backbone mlp --hidden 16 --epochs 1")
    cli("predict-pairs glyphs_eval@12-27")
    return tmp_path / "clusterkit-out"


def test_k_auto_counts_in_a_clustering_of_its_own(letters_with_pairs, cli):
    folder = letters_with_pairs
    done = cli(f"{AUTO} --json")
    assert done.code == 0, done.err
    assert "estimating K first (--k auto), from a clustering with 100 outputs" in done.err
    recommended = json.loads((folder / "k.json").read_text())["recommended"]
    header, found = read_assignments(folder / "assignments.h5")
    assert {title: part.k for title, part in found.items()} == {title: max(2, k) for title, k in recommended.items()}
    assert header.extra["uses_target_labels"] == "no"
    assert set(header.inputs) == {"pairs", "k", "ccn"}
    made = (folder / "assignments.h5").read_bytes()

    again = cli(AUTO)
    assert "estimating K first" not in again.err
    assert (folder / "assignments.h5").read_bytes() == made
    assert "estimating K first" in cli(f"{AUTO} --seed 1").err
    done = cli("estimate-k")
    assert done.code == 3
    assert "assignments.h5: was made with an estimated K" in done.err


@pytest.mark.parametrize("method", ["kmeans", "spectral"])
def test_methods_without_a_network_take_the_same_estimate(method, letters_with_pairs, cli, monkeypatch):
    # The network that counts for them is hardly trained, so what it counts is put in.
    for name in ("SHORTEST", "LONGEST"):
        monkeypatch.setattr(import_module("clusterkit.methods.ccn"), name, 4)
    monkeypatch.setattr(estimate_k, "estimate", lambda *_: {estimate_k.RECOMMENDED: 7, "spread": 0, "ndc": 7})
    done = cli(f"cluster glyphs_eval/Morwen@12-27 --k auto --method {method} --recipe paper")
    assert done.code == 0, done.err
    counted, _ = read_assignments(letters_with_pairs / "over-clustered" / "assignments.h5")
    assert (counted.config["method"], counted.config["k"]) == ("ccn", 100)
    header, found = read_assignments(letters_with_pairs / "assignments.h5")
    assert header.config["method"] == method
    assert {title: (part.k, len(set(part.cluster))) for title, part in found.items()} == {"Morwen": (7, 7)}


def test_an_estimate_that_was_asked_for_is_used(letters_with_pairs, cli):
    folder = letters_with_pairs
    cli("cluster --k 40 --epochs 2 --backbone mlp")
    cli("estimate-k")
    asked = (folder / "k.json").read_bytes()
    done = cli(AUTO)
    assert done.code == 0
    assert "estimating K first" not in done.err
    assert (folder / "k.json").read_bytes() == asked
    cli("train-g glyphs_bg@0-11 --size 16 --backbone mlp --hidden 16 --epochs 1 --seed 3")
    cli("predict-pairs glyphs_eval@12-27")
    done = cli(AUTO)
    assert (done.code, done.out) == (3, "")
    assert "k.json: was estimated from other pairs than" in done.err
    assert "run: clusterkit estimate-k" in done.err


@pytest.mark.parametrize(("content", "said"), [("", "k.json"), ("{}", "k.json")])
def test_a_damaged_estimate(content, said, letters_with_pairs, cli):
    (letters_with_pairs / "k.json").write_text(content)
    done = cli(AUTO)
    assert (done.code, done.out) == (3, "")
    assert said in done.err.splitlines()[-1]


def test_k_auto_with_labels(cli):
    done = cli("cluster digits --pairs labels --k auto")
    assert (done.code, done.out) == (2, "")
    assert "--k auto: --pairs labels" in done.err


@pytest.mark.parametrize("made", ["points", "letters"])
def test_k_auto_counts_in_vectors_and_small_images_for_a_method_without_a_network(made, request, cli, monkeypatch):
    folder = request.getfixturevalue(made)
    (folder / "k.json").unlink(missing_ok=True)
    monkeypatch.setattr(ClusterConfig, "k", 12)
    for name in ("SHORTEST", "LONGEST"):
        monkeypatch.setattr(import_module("clusterkit.methods.ccn"), name, 4)
    done = cli("cluster --k auto --method kmeans --recipe paper")
    assert done.code == 0, done.err
    assert "estimating K first" in done.err
    [*networks] = read_cluster_nets(folder / "over-clustered" / "ccn.safetensors")[1].values()
    assert {network.architecture.backbone for network in networks} == {Backbone.MLP}


def test_the_backbone_follows_the_items_unless_it_was_typed(points, cli, monkeypatch):
    (points / "k.json").unlink()
    monkeypatch.setattr(ClusterConfig, "k", 12)
    told = "--backbone mlp is used, as the default conv4 cannot take vectors\n"
    done = cli("cluster --k auto --epochs 3")
    assert done.code == 0, done.err
    assert done.err.count(told) == 1
    assert "estimating K first" in done.err
    header, _ = read_assignments(points / "assignments.h5")
    assert header.config["options"]["backbone"] == "mlp"
    assert "estimating K first" not in cli("cluster --k auto --epochs 3").err
    made = (points / "assignments.h5").read_bytes()
    for k in ("4", "auto"):
        done = cli(f"cluster --k {k} --backbone conv4 --epochs 4")
        assert (done.code, done.out) == (2, "")
        assert done.err == (
            "clusterkit: error: --backbone conv4 takes images, but this data set holds vectors; use --backbone mlp\n"
        )
    assert (points / "assignments.h5").read_bytes() == made
    for line in ("train-g synthetic:blobs --epochs 1 --hidden 8", "pretrain synthetic:blobs --epochs 1"):
        done = cli(line)
        assert (done.code, done.err.count(told)) == (0, 1)
        assert cli(f"{line} --backbone conv4").code == 2


def test_k_auto_on_a_set_smaller_than_the_default_k_counts_from_as_many_outputs_as_items(points, cli):
    (points / "k.json").unlink(missing_ok=True)
    np.savez("few.npz", x=np.random.default_rng(0).random((40, 2)).astype(np.float32))
    assert cli(f"predict-pairs arrays:few.npz --g {points.resolve()}/g.safetensors --workdir few").code == 0
    done = cli("cluster arrays:few.npz --k auto --backbone mlp --epochs 1 --workdir few")
    assert done.code == 0, done.err
    assert "from a clustering with 40 outputs, as the set has only 40 items" in done.err
    assert read_assignments(Path("few", "over-clustered", "assignments.h5"))[0].config["k"] == 40


def test_the_outputs_to_count_from_follow_the_smallest_subset_that_is_clustered():
    groups = {title: {"id": np.arange(size)} for title, size in {"Morwen": 30, "Nastric": 20, "Ostrava": 200}.items()}
    pairs = PairInput(used=True, groups=groups)
    for subset, text in {
        "": "20 outputs, as Nastric has only 20 items",
        "/Nastric": "20 outputs, as the set has only 20 items",
        "/Morwen": "30 outputs, as the set has only 30 items",
        "/Ostrava": "100 outputs",
    }.items():
        items = sizes(pairs, f"glyphs_eval{subset}")
        config = with_many_outputs(ClusterConfig(), items, Path("pairs.h5"))
        assert outputs_of(config, items) == text
    assert with_many_outputs(ClusterConfig(), sizes(pairs, None), Path("pairs.h5")).k == 20


def test_a_flag_without_effect_on_a_metric_is_refused_before_anything_is_made(cli, tmp_path):
    np.savez("few.npz", x=np.random.default_rng(0).random((40, 2)).astype(np.float32))
    assert cli("train-g arrays:few.npz --head metric --unlabelled").code == 0
    flags = ("--loss ccl", "--recipe paper", "--no-self-train")
    lines = [f"cluster arrays:few.npz --k {k} {flag}" for k in (3, "auto") for flag in flags]
    for made in (["g.safetensors"], ["g.safetensors", "pairs.h5"]):
        for line in lines:
            done = cli(line)
            assert (done.code, done.out) == (2, ""), line
            [message] = done.err.splitlines()
            assert message.startswith(f"clusterkit: error: {line.split()[4]}"), line
            assert sorted(path.name for path in (tmp_path / "clusterkit-out").iterdir()) == made
        assert cli("predict-pairs arrays:few.npz").code == 0


def test_a_recipe_without_effect_is_refused(cli):
    for line, flag in (
        ("cluster synthetic:blobs --k 5 --method kmeans --recipe paper", "--recipe paper"),
        ("cluster synthetic:blobs --k 5 --method spectral --features pixels --recipe paper", "--recipe paper"),
        ("cluster synthetic:blobs --k 5 --pairs labels --recipe paper", "--recipe paper"),
        ("cluster synthetic:blobs --k 5 --method kmeans --no-self-train", "--no-self-train"),
        ("cluster synthetic:blobs --k 5 --pairs labels --no-self-train", "--no-self-train"),
        ("cluster synthetic:blobs --k 5 --pairs pairs.h5 --no-self-train", "--no-self-train"),
        ("train-g synthetic:blobs --head metric --recipe paper", "--recipe paper"),
        ("train-g digits --backbone timm:none --recipe paper", "--recipe paper"),
    ):
        done = cli(line)
        assert (done.code, done.out) == (2, ""), line
        [message] = done.err.splitlines()
        assert message.startswith(f"clusterkit: error: {flag}: "), line
        assert "leave it out" in message
    assert cli("cluster synthetic:blobs --k 5 --method kmeans --recipe best").code == 0, "the default changes nothing"
