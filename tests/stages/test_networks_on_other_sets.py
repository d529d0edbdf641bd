"""assign and evaluate, through the command line."""

import json
from pathlib import Path

import numpy as np

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.config import Context, EvaluateConfig
from clusterkit.stages.evaluate import one_shot

SOME = "@12-27,40-47"


def read(line, cli):
    done = cli(f"{line} --json")
    assert done.code == 0, done.err
    return read_assignments(Path(json.loads(done.out)["artifact"]))


def test_assign_gives_what_cluster_gave(points, cli):
    _, clustered = read_assignments(points / "assignments.h5")
    header, again = read("assign synthetic:blobs", cli)
    assert np.array_equal(again["all"].cluster, clustered["all"].cluster)
    assert np.array_equal(again["all"].prob, clustered["all"].prob)
    assert (header.stage, set(header.inputs)) == ("assign", {"model"})
    assert header.extra["uses_target_labels"] == "labels, in the training of ccn.safetensors"
    _, part = read("assign synthetic:blobs@0,3", cli)
    assert np.array_equal(part["all"].cluster, clustered["all"].cluster[part["all"].id])


def test_assign_takes_the_network_of_each_subset(letters, cli):
    _, clustered = read_assignments(letters / "assignments.h5")
    _, again = read(f"assign glyphs_eval{SOME}", cli)
    for title in ("Morwen", "Nastric", "Ostrava"):
        assert np.array_equal(again[title].cluster, clustered[title].cluster)
    done = cli("assign glyphs_bg@0-3")
    assert (done.code, done.out) == (2, "")
    assert "choose one with --subset: Morwen, Nastric, Ostrava" in done.err
    assert cli("assign glyphs_bg@0-3 --subset Morwen").code == 0
    assert cli("assign glyphs_bg@0-3 --subset Nowhere").code == 2


def test_adapted_networks_take_other_images(points, cli):
    header, found = read("assign synthetic:blobs --model adapted.safetensors", cli)
    assert header.extra["classes"] == ["0", "1", "2", "3", "4"]
    assert len(found["all"].cluster) == 600
    done = cli("assign synthetic:moons --model adapted.safetensors")
    assert done.code == 0


def test_evaluate_g(points, cli):
    fields = json.loads(cli("evaluate --g g.safetensors synthetic:blobs --ways 2 --ways 5 --episodes 50 --json").out)
    assert set(fields["mean"]) >= {"similar_precision", "similar_recall", "similar_f1", "2_way", "5_way"}
    assert fields["mean"]["2_way"] > 0.9
    alone = one_shot(
        EvaluateConfig(g="g.safetensors", dataset="synthetic:blobs", ways=(2, 5), episodes=50), Context(workdir=points)
    )
    assert alone == {name: fields["mean"][name] for name in ("2_way", "5_way")}
    done = cli("evaluate --g g.safetensors synthetic:moons --ways 2 --ways 5 --episodes 5")
    assert done.code == 0
    assert "--ways 5 is left out" in done.err
    done = cli("evaluate --g g.safetensors")
    assert done.code == 2
    assert "name the data set: synthetic:blobs" in done.err


def test_evaluate_warns_of_degenerate_clusterings(cli):
    rows = np.zeros((40, 2), np.float32)
    rows[:2] = 100
    np.savez("a.npz", x=rows + np.arange(40)[:, None] * 1e-3, y=np.arange(40) % 4)
    assert cli("cluster arrays:a.npz --method kmeans --k 2").code == 0
    done = cli("evaluate")
    assert done.code == 0
    assert "degenerate clustering, 95 % of the items are in one cluster" in done.err


def test_evaluate_joins_labels_by_id(letters, cli):
    _, groups = read_assignments(letters / "assignments.h5")
    assert [len(group.id) for group in groups.values()] == [160, 160, 160]
    fields = json.loads(cli("evaluate --json").out)
    assert fields["dataset"] == f"glyphs_eval{SOME}"
    assert all(part["classes"] == 8 for part in fields["subsets"].values())


def test_evaluate_without_truth(points, cli):
    np.savez("a.npz", x=np.random.default_rng(0).normal(size=(50, 2)))
    assert cli("predict-pairs arrays:a.npz").code == 0
    assert cli("cluster --k 5 --epochs 1 --backbone mlp").code == 0
    done = cli("evaluate")
    assert (done.code, done.out) == (3, "")
    assert "arrays:a.npz has no labels to compare" in done.err


def test_training_in_bfloat16_is_said_in_the_header_and_learns_as_much(points, cli):
    assert cli("train-g synthetic:blobs --hidden 32 --epochs 4 --backbone mlp --precision bf16").code == 0
    assert cli("predict-pairs synthetic:blobs").code == 0
    header, found = read("cluster synthetic:blobs --k 10 --epochs 8 --backbone mlp --precision bf16", cli)
    assert header.config["options"]["precision"] == "bf16"
    assert len(found["all"].cluster) == 600
    assert cli("evaluate --fail-under acc=0.95").code == 0
    for line in ("train-g digits", "cluster", "adapt digits digits"):
        done = cli(f"{line} --precision tf32 --device cpu")
        assert (done.code, done.out) == (2, "")
        assert "--precision tf32: only CUDA devices have it" in done.err
