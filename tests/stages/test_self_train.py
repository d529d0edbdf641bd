"""self-train: what it learns from, and that no label of the target is among it."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import read_header
from clusterkit.config import Kind
from clusterkit.datasets.base import Subset
from clusterkit.methods.common import sample
from clusterkit.stages import self_train
from clusterkit.stages.self_train import Part, mixed, pair_loss, time_of

LINE = "self-train synthetic:blobs --rounds 2"


def part(classes: list[int], families: list[int], images: Tensor | None = None) -> Part:
    count = len(classes)
    images = torch.arange(count, dtype=torch.float32)[:, None] if images is None else images
    subset = Subset("all", images, torch.arange(count), None)
    return Part(subset, torch.tensor(classes), torch.tensor(families), [], Kind.VECTORS)


def test_the_result_is_a_g_like_any_other(points: Path, cli) -> None:
    before = sha256(points / "g.safetensors")
    assert cli(LINE).out == "clusterkit-out/self-trained.safetensors\n"
    assert sha256(points / "g.safetensors") == before
    header, _ = read_checkpoint(points / "self-trained.safetensors", "g")
    g_header, _ = read_checkpoint(points / "g.safetensors", "g")
    assert (header.stage, header.inputs, header.dataset) == ("self-train", {"g": before}, g_header.dataset)
    assert header.extra["self_trained_on"]["name"] == "synthetic:blobs"
    assert len(header.extra["history"]) == 2

    assert cli("predict-pairs synthetic:blobs --g self-trained.safetensors").code == 0
    pairs = read_header(points / "pairs.h5", "pairs")
    assert pairs.inputs["g"] == sha256(points / "self-trained.safetensors")
    for line in ("cluster --k 10 --epochs 8 --backbone mlp", "cluster --k 10 --init g --epochs 8", "evaluate"):
        done = cli(line)
        assert done.code == 0, done.err
    assert "acc\t1.0000" in done.out
    assert cli("evaluate --g self-trained.safetensors synthetic:blobs").code == 0


def test_equal_runs_give_equal_bytes_and_other_seeds_others(points: Path, cli) -> None:
    made = points / "self-trained.safetensors"
    found = []
    for seed in (0, 0, 1):
        assert cli(f"{LINE} --seed {seed}").code == 0
        found.append(sha256(made))
    assert found[0] == found[1] != found[2]


def test_no_label_of_the_target_is_used(points: Path, cli, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    y = np.arange(120) % 4
    x = (generator.normal(size=(4, 2))[y] * 4 + generator.normal(size=(120, 2)) * 0.1).astype(np.float32)
    weights = []
    for labels in ({}, {"y": y}, {"y": y[::-1]}, {"y": 0 * y}):
        np.savez(tmp_path / "t.npz", x=x, **labels)
        assert cli("self-train arrays:t.npz --rounds 2").code == 0
        weights.append(load_file(points / "self-trained.safetensors"))
    for other in weights[1:]:
        assert all(torch.equal(other[name], value) for name, value in weights[0].items())


def test_the_length_follows_the_images_that_are_grouped() -> None:
    alphabets = SimpleNamespace(subsets=[range(659)] * 20)
    assert time_of(alphabets, 7) == "7 rounds with 13180 images take 3 min to 12 min on two cores"  # type: ignore[arg-type]
    large = SimpleNamespace(subsets=[range(10_000), range(10)])
    assert time_of(large, 1).startswith(f"1 round with {sample.LARGEST + 10} images")  # type: ignore[arg-type]


def test_pairs_of_one_family_are_left_out() -> None:
    classes, families = torch.tensor([0, 0, 1, 2]), torch.tensor([0, 0, 0, 1])
    logits = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    total = 0.0
    for member in range(2):
        for i in range(3):
            for j in range(4):
                p = 1 / (1 + np.exp(-float(logits[member, i, j])))
                if classes[1 + i] == classes[j]:
                    total -= np.log(p)
                elif families[1 + i] != families[j]:
                    total -= np.log(1 - p)
    found = pair_loss(logits, classes, families, slice(1, 4))
    assert float(found) == pytest.approx(total / 24, abs=1e-12)


def test_a_batch_is_of_one_part_and_of_grouped_items_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_train, "IMAGES", 3)
    labelled = part([0] * 5 + [1] * 5, [0] * 5 + [1] * 5)
    first = part([0, 0, 0, -1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1])
    one_group, large = part([0] * 9, [0] * 9), part([n // 5 - 1 for n in range(30)], [0] * 30)
    parts = [labelled, first, one_group, large]
    generator = torch.Generator().manual_seed(0)
    found = list(mixed(labelled, parts[1:], 400, generator, torch.device("cpu")))
    counts = [sum(of is each for of, _, _ in found) for each in parts]
    assert counts[2] == 0, "one group alone has no dissimilar pair"
    assert counts[0] == pytest.approx(400 * self_train.LABELLED, abs=40)
    assert counts[3] == pytest.approx(counts[1] * 30 / 8, rel=0.4)
    for of, index, x in found:
        assert (of.classes[index] >= 0).all()
        assert x[:, 0].long().tolist() == index.tolist()
        sizes = of.classes[index].bincount()
        assert set(sizes[sizes > 0].tolist()) == {3}
    alone = list(mixed(None, parts[1:], 50, generator, torch.device("cpu")))
    assert {id(of) for of, _, _ in alone} == {id(first), id(large)}


def one_line(done, code: int, *words: str) -> None:
    assert (done.code, done.out) == (code, "")
    last = done.err.splitlines()[-1]
    assert all(word in last for word in words), last


def test_bad_input(points: Path, cli, tmp_path: Path) -> None:
    one_line(cli("self-train"), 2, "name the data set", "synthetic:blobs")
    one_line(cli("self-train digits"), 3, "digits", "(2,)")
    one_line(cli("self-train synthetic:blobs --rounds 0"), 2, "--rounds")
    assert cli(LINE).code == 0
    one_line(cli(f"{LINE} --g self-trained.safetensors"), 2, "--g self-trained.safetensors", "--rounds")
    assert cli("predict-pairs synthetic:blobs --g self-trained.safetensors").code == 0

    kept = {path.name: path.read_bytes() for path in points.iterdir()}
    shutil.copy(points / "g.safetensors", tmp_path / "before.safetensors")
    assert cli("train-g synthetic:blobs --backbone mlp --hidden 8 --epochs 1").code == 0
    stale = cli("predict-pairs synthetic:blobs --g self-trained.safetensors")
    one_line(
        stale, 3, "self-trained.safetensors", "another g.safetensors", "run: clusterkit self-train synthetic:blobs"
    )
    one_line(cli(LINE), 3, "synthetic:blobs: G is not sure of any two groups", "train G for longer")
    for name in kept.keys() - {"g.safetensors"}:
        assert (points / name).read_bytes() == kept[name]


def test_a_labelled_set_that_has_changed(cli, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 3
    np.savez(tmp_path / "a.npz", x=x, y=y)
    assert cli("train-g arrays:a.npz --backbone mlp --hidden 8 --epochs 1").code == 0
    np.savez(tmp_path / "a.npz", x=x + 1, y=y)
    one_line(cli("self-train synthetic:blobs"), 3, "(2,)")
    one_line(cli("self-train arrays:a.npz"), 3, "the content of arrays:a.npz has changed", "run: clusterkit train-g")
    (tmp_path / "a.npz").unlink()
    one_line(cli("self-train arrays:a.npz"), 3, "a.npz")


def test_large_subsets_are_grouped_in_part(points: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "LARGEST", 100)
    done = cli(LINE)
    assert done.code == 0
    assert "self-train: 5 groups of 16 % of the images" in done.err, "a sixth of the 600"


@pytest.mark.slow
def test_pairs_of_a_real_alphabet_get_better(real_data: Path, cli, tmp_path: Path) -> None:
    scores = []
    line = "train-g omniglot_bg@0-199 --backbone conv4-fine --hidden 128 --epochs 12 --learning-rate 0.003"
    for command in (line, "self-train omniglot_eval/Keble --rounds 3"):
        assert cli(f"{command} --data {real_data}").code == 0
    for name in ("g", "self-trained"):
        line = f"evaluate omniglot_eval/Keble --g {name}.safetensors --ways 5 --episodes 10"
        assert cli(f"{line} --data {real_data}").code == 0
        scores.append(json.loads((tmp_path / "clusterkit-out" / "evaluation.json").read_text())["mean"]["similar_f1"])
    assert scores[1] > scores[0] + 0.1
