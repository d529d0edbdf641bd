"""train-critic, and what reads its file: cluster --method c2m and evaluate --critic."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import clusterkit
from clusterkit import training
from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.checkpoint import read_checkpoint, write_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.json_file import read_json
from clusterkit.config import Recipe
from clusterkit.critic.read import read_critic
from clusterkit.critic.search import Search
from clusterkit.critic.training import PRINTED, Training
from clusterkit.methods import c2m
from clusterkit.metrics.clustering import accuracy
from clusterkit.settings import Graph
from clusterkit.stages import train_critic
from clusterkit.training import History, Plan
from tests.conftest import once, run_all

OUT = Path("clusterkit-out")
MADE = OUT / "critic.safetensors"
LINE = "train-critic blobs_bg"


EFFORT = Search(recipe=Recipe.PAPER, k=10, population=10, iterations=2)
BEST = replace(Training(), epochs=4, repeats=2, fakes=24, compared=24, autoencoder_epochs=2, searched=EFFORT)
SHORT = replace(PRINTED, epochs=2, autoencoder_epochs=1, searched=EFFORT)


def patched(patch: pytest.MonkeyPatch) -> None:
    """Learn from four small sets with little effort; long enough to tell merged blobs from whole ones."""
    patch.setattr(train_critic, "SETS", 4)
    patch.setattr(train_critic, "PRINTED", SHORT)
    patch.setattr(train_critic, "Training", lambda: BEST)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    patched(monkeypatch)


@pytest.fixture(scope="session")
def critic_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patched(patch)
        return once(tmp_path_factory, "critic", run_all(LINE))


@pytest.fixture
def critic(critic_made: Path) -> Path:
    """A copy of a critic of blobs, in the work folder."""
    shutil.copytree(critic_made, OUT)
    return MADE


def one_line(done, code: int, *words: str) -> None:
    assert (done.code, done.out) == (code, "")
    last = done.err.splitlines()[-1]
    assert last.startswith("clusterkit: error: ")
    for word in words:
        assert word in last


def interrupt(cli, monkeypatch: pytest.MonkeyPatch, title: str, epoch: int) -> None:
    """Interrupt a training after one of its epochs.

    In a process of its own it could not learn: after other tests, autograd refuses to work in a fork.
    """
    whole = training._report

    def report(plan: Plan, history: History, *arguments: object, **more: object) -> None:
        whole(plan, history, *arguments, **more)
        if (plan.title, len(history)) == (title, epoch):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "APART", 0.0)
        patch.setattr(training, "_report", report)
        assert cli(LINE).code == 130


def save(name: str, x: np.ndarray, y: np.ndarray | None = None) -> str:
    np.savez(name, **({"x": x} if y is None else {"x": x, "y": y}))
    return f"arrays:{name}"


def groups(width: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return points (N, D) of three groups far apart, and their groups."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 3
    return 20 * np.eye(3, width)[labels] + random.normal(0, 1, (count, width)), labels


def test_the_file_tells_what_was_learned(critic: Path, cli) -> None:
    header, network = read_critic(critic)
    assert (header.format, header.stage, header.dataset["name"]) == ("critic", "train-critic", "blobs_bg")
    assert [entry["name"] for entry in header.extra["learned_from"]] == ["blobs_bg"]
    assert (network.architecture.width, network.architecture.graph) == (2, Graph.NEIGHBOURS)
    assert not MADE.with_name(f".{MADE.name}.state").exists()
    done = cli(f"inspect {MADE} --history")
    assert done.code == 0
    assert "ranking" in done.out


def test_the_recipe_of_the_paper_takes_cliques_and_clips(cli) -> None:
    assert cli(f"{LINE} --recipe paper").code == 0
    header, critic = read_critic(MADE)
    assert critic.architecture.graph is Graph.CLIQUE
    assert header.config["recipe"] == "paper"
    assert max(float(weights.abs().max()) for weights in critic.layers.parameters()) <= 0.01 + 1e-9
    assert cli(f"{LINE} --graph clique").code == 0
    assert read_critic(MADE)[1].architecture.graph is Graph.CLIQUE


def test_a_penalty_replaces_the_clipped_weights_of_the_paper(cli) -> None:
    assert cli(f"{LINE} --recipe paper --gradient-penalty 10").code == 0
    header, critic = read_critic(MADE)
    assert max(float(weights.abs().max()) for weights in critic.layers.parameters()) > 0.01
    assert header.config["gradient_penalty"] == 10
    assert "penalty" in header.extra["history"]["all"]["critic"][0]


def test_a_penalty_of_zero_leaves_it_out(cli) -> None:
    assert cli(f"{LINE} --gradient-penalty 0").code == 0
    header, _ = read_critic(MADE)
    assert "penalty" not in header.extra["history"]["all"]["critic"][0]


def test_a_negative_penalty_is_refused(cli) -> None:
    done = cli(f"{LINE} --gradient-penalty -1")
    assert done.code == 2
    assert "--gradient-penalty" in done.err


def test_equal_runs_give_equal_bytes_and_other_seeds_others(critic: Path, cli) -> None:
    first = sha256(critic)
    done = cli(f"{LINE} --json")
    assert json.loads(done.out) == {"artifact": str(MADE), "sets": 4}
    assert sha256(critic) == first
    assert cli(f"{LINE} --seed 1").code == 0
    assert sha256(critic) != first


@pytest.mark.parametrize(("title", "epoch"), [("train-critic autoencoder", 1), ("train-critic", 2)])
def test_an_interrupted_run_resumed_gives_equal_bytes(
    title: str, epoch: int, critic_made: Path, cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(cli, monkeypatch, title, epoch)
    assert not MADE.exists()
    done = cli(f"{LINE} --resume")
    assert done.code == 0
    assert "resumed after epoch" in done.err
    assert sha256(MADE) == sha256(critic_made / MADE.name)


def test_a_critic_of_points_finds_groups_of_wider_values_and_their_number(critic: Path, cli) -> None:
    x, y = groups(width=7)
    done = cli(f"cluster {save('wide.npz', x, y)} --method c2m --k 12")
    assert done.code == 0, done.err
    header, assignments = read_assignments(OUT / "assignments.h5")
    assert header.inputs == {"critic": sha256(MADE)}
    assert header.extra["uses_target_labels"] == "no"
    assert assignments["all"].prob.shape == (60, 12)
    scores = json.loads(cli("evaluate --critic critic.safetensors --json").out)["mean"]
    assert scores["acc"] == 1
    assert scores["clusters"] == 3
    assert scores["silhouette"] > 0.7
    assert {"critic", "calinski_harabasz"} <= scores.keys()


def test_arrays_are_searched_from_python(critic: Path) -> None:
    x, y = groups(width=3)
    found = clusterkit.cluster(x, k=8, method="c2m", critic=str(critic), seed=1)
    assert accuracy(found.labels, y) == 1
    assert found.probabilities.shape == (60, 8)
    estimator = clusterkit.PairClustering(8, method="c2m", random_state=1, options={"critic": str(critic)})
    assert estimator.fit_predict(x).tolist() == found.labels.tolist()
    with pytest.raises(FileNotFoundError, match="clusterkit train-critic"):
        clusterkit.cluster(x, k=8, method="c2m", critic="missing.safetensors")


def test_equal_searches_give_equal_bytes(critic: Path, cli) -> None:
    x, y = groups(width=2)
    line = f"cluster {save('points.npz', x, y)} --method c2m --k 5"
    found = []
    for _ in range(2):
        assert cli(line).code == 0
        found.append(sha256(OUT / "assignments.h5"))
    assert found[0] == found[1]


def test_a_large_set_is_searched_in_a_sample(critic: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = groups(width=2, count=150)
    monkeypatch.setattr(c2m, "LARGEST", 60)
    done = cli(f"cluster {save('many.npz', x, y)} --method c2m --k 6")
    assert done.code == 0, done.err
    assert "searching a random sample of 60 items" in done.err
    assert "acc\t1.0000" in cli("evaluate").out


def test_k_is_found_also_where_few_items_differ(critic: Path, cli) -> None:
    x, y = groups(width=2, count=30)
    twice = save("twice.npz", np.r_[x, x], np.r_[y, y])
    assert cli(f"cluster {twice} --method c2m --k 40").code == 0
    assert "clusters\t3.0000" in cli("evaluate").out


def test_a_critic_does_not_score_clusters_of_other_values(critic: Path, cli) -> None:
    name = save("points.npz", *groups(width=2))
    assert cli(f"pretrain {name} --backbone mlp --epochs 1").code == 0
    assert cli(f"cluster {name} --method kmeans --k 3 --features pretrained.safetensors").code == 0
    assert cli("evaluate").code == 0
    one_line(cli("evaluate --critic critic.safetensors"), 3, "--features", "features:FILE")


def test_a_critic_of_another_version_is_refused(critic: Path, cli) -> None:
    header, state = read_checkpoint(critic, "critic")
    header.extra["critic"]["form"] += 1
    write_checkpoint(critic, header, state)
    name = save("points.npz", *groups(width=2))
    one_line(cli(f"cluster {name} --method c2m --k 5"), 3, "another version", "clusterkit train-critic blobs_bg")


@pytest.mark.parametrize(
    "line", ["evaluate --critic critic.safetensors", "cluster arrays:points.npz --method c2m --k 5"]
)
def test_a_score_that_is_not_finite_is_no_score(critic: Path, cli, line: str) -> None:
    cli(f"cluster {save('points.npz', *groups(width=2))} --method kmeans --k 3")
    header, state = read_checkpoint(critic, "critic")
    last = max(name for name in state if name.endswith("bias"))
    state[last].fill_(torch.finfo(torch.float32).max)
    state[last.replace("bias", "weight")].fill_(torch.finfo(torch.float32).max)
    write_checkpoint(critic, header, state)
    one_line(cli(line), 3, "its score of all is not finite", "clusterkit train-critic")


def test_scores_by_a_critic_need_no_labels(critic: Path, cli) -> None:
    x, _ = groups(width=2)
    cli(f"cluster {save('plain.npz', x)} --method kmeans --k 3")
    one_line(cli("evaluate"), 3, "no labels")
    done = cli("evaluate --critic critic.safetensors --json")
    assert json.loads(done.out)["mean"].keys() == {"critic", "silhouette", "calinski_harabasz"}
    assert read_json(OUT / "evaluation.json", "evaluation")[0].inputs.keys() == {"assignments", "critic"}


def test_the_score_is_that_of_the_critic(critic: Path, cli) -> None:
    x, _ = groups(width=2)
    cli(f"cluster {save('plain.npz', x)} --method kmeans --k 4")
    score = json.loads(cli("evaluate --critic critic.safetensors --json").out)["mean"]["critic"]
    _, network = read_critic(critic)
    cluster = torch.from_numpy(read_assignments(OUT / "assignments.h5")[1]["all"].cluster).long()
    points = network.read(torch.from_numpy(x).float().double())
    assert score == pytest.approx(float(network.scores(points, cluster[None])[0]), rel=1e-4)


def test_items_that_do_not_fit_in_memory_are_not_scored(critic: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = groups(width=2)
    cli(f"cluster {save('plain.npz', x)} --method kmeans --k 4")
    monkeypatch.setattr("clusterkit.stages.evaluate.memory", lambda: 1000)
    one_line(
        cli("evaluate --critic critic.safetensors"),
        3,
        "all: to score 60 items",
        "of memory, but this machine",
        "has 1 kB; cluster",
    )


def test_labels_that_the_critic_learned_are_said(cli) -> None:
    x, y = groups(width=2)
    name = save("own.npz", x, y)
    cli(f"train-critic {name}")
    done = cli(f"cluster {name} --method c2m --k 5")
    assert "the critic: trained with labels of" in done.err
    header, _ = read_assignments(OUT / "assignments.h5")
    assert header.extra["uses_target_labels"] == "labels, in the training of the critic"


def test_sets_of_several_forms_are_learned_together(cli) -> None:
    wide = save("wide.npz", *groups(width=7))
    assert cli(f"train-critic {wide} synthetic:moons").code == 0
    header, critic = read_critic(MADE)
    assert critic.architecture.width == 7
    assert [entry["name"] for entry in header.extra["others"]] == ["synthetic:moons"]


def test_bad_sets(critic: Path, cli) -> None:
    x, y = groups(width=3)
    before = sha256(MADE)
    one_line(cli(f"train-critic {save('one.npz', x, 0 * y)}"), 3, "one.npz", "one class only")
    one_line(cli(f"train-critic {save('no.npz', x)}"), 3, "no.npz", "no labels")
    one_line(cli(f"train-critic {save('flat.npz', 0 * x, y)}"), 3, "flat.npz", "equal")
    one_line(cli(f"train-critic {save('each.npz', x, np.arange(60))}"), 3, "each.npz", "two classes")
    one_line(cli("train-critic synthetic:moons synthetic:moons"), 2, "share")
    one_line(cli("train-critic"), 2, "Missing argument")
    one_line(cli("train-critic nothing"), 2, "nothing")
    x[3, 1] = np.nan
    one_line(cli(f"train-critic {save('nan.npz', x, y)}"), 3, "nan.npz")
    assert sha256(MADE) == before


def test_bad_critics(critic_made: Path, cli) -> None:
    name = save("points.npz", *groups(width=2))
    line = f"cluster {name} --method c2m --k 5"
    one_line(cli(line), 3, "critic.safetensors", "no such file", "clusterkit train-critic DATASET")
    shutil.copytree(critic_made, OUT)
    assert cli(line).code == 0
    before = sha256(OUT / "assignments.h5")
    content = MADE.read_bytes()
    for damaged in (b"", content[: len(content) // 2], content[:-9] + b"123456789"):
        MADE.write_bytes(damaged)
        one_line(cli(line), 3, "critic.safetensors", "clusterkit train-critic DATASET")
        one_line(cli("evaluate --critic critic.safetensors"), 3, "critic.safetensors")
    MADE.unlink()
    MADE.mkdir()
    one_line(cli(line), 3, "critic.safetensors")
    MADE.rmdir()
    cli("train-g synthetic:blobs --backbone mlp --hidden 4 --epochs 1")
    one_line(cli(f"{line} --critic g.safetensors"), 3, "g.safetensors", "holds g, not critic")
    one_line(cli(f"{line} --resume"), 2, "--resume")
    one_line(cli(f"{line} --loss ccl"), 2, "--loss")
    one_line(cli("evaluate --critic critic.safetensors --g g.safetensors"), 2, "--critic")
    assert sha256(OUT / "assignments.h5") == before


def test_equal_points_and_more_clusters_than_points(critic: Path, cli) -> None:
    same = save("same.npz", np.ones((20, 3)))
    done = cli(f"cluster {same} --method c2m --k 5")
    assert done.code == 0, done.err
    assert "only 1 of 20 items differ" in done.err
    one_line(cli(f"cluster {same} --method c2m --k 20"), 2, "--k 20", "20 items")


def test_the_state_of_another_run_is_refused(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(cli, monkeypatch, "train-critic", 2)
    one_line(cli(f"{LINE} --seed 5 --resume"), 3, "start again without --resume")
