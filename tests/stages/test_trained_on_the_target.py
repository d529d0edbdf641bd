"""Networks that were trained with labels of the very images they are used on: headers say so, and stderr warns."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.checkpoint import read_checkpoint, write_checkpoint
from clusterkit.artifacts.hdf5 import read_hdf5, read_header, write_hdf5
from clusterkit.artifacts.header import Header
from clusterkit.artifacts.lineage import all_used, beside_training, learned_from
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.datasets.imagenet import HELD_OUT, TEN
from clusterkit.datasets.overlap import overlap, warn_of_training
from tests.conftest import Cli

OUT = Path("clusterkit-out")
TINY = "--backbone mlp --epochs 1"
G = "labels, in the training of G"
WARNS = "trained with labels of"
PAIRS = "cluster --method agglomerative --k 4"


def write(name: str, shift: float = 0) -> None:
    y = np.arange(24) % 4
    x = 4 * np.eye(4)[y] + np.random.default_rng(0).normal(size=(24, 4)) * 0.1 + shift
    np.savez(f"{name}.npz", x=x.astype(np.float32), y=y)


@pytest.fixture
def sets(cli: Cli) -> None:
    """Write `a.npz`, `copy.npz` of the same content, and `other.npz`."""
    write("a")
    shutil.copy("a.npz", "copy.npz")
    write("other", 1)


def warned(cli: Cli, line: str) -> bool:
    done = cli(line)
    assert done.code == 0, done.err
    assert done.err.count(WARNS) <= 1
    return WARNS in done.err


def used(name: str = "assignments.h5") -> str:
    return str(read_assignments(OUT / name)[0].extra["uses_target_labels"])


def names(name: str) -> list[str]:
    header = read_header(OUT / name, "pairs") if name.endswith("h5") else read_checkpoint(OUT / name, "any")[0]
    return [each["name"] for each in header.extra["learned_from"]]


@pytest.mark.parametrize(
    ("target", "marked"),
    [("a.npz", True), ("copy.npz", True), ("other.npz", False), ("a.npz@2,3", False), ("copy.npz@1-2", True)],
)
def test_the_pairs_of_a_g_of_the_target(target: str, marked: bool, cli: Cli, sets: None) -> None:
    assert not warned(cli, f"train-g arrays:a.npz@0-1 {TINY} --hidden 8")
    assert warned(cli, f"predict-pairs arrays:{target}") == marked
    assert warned(cli, PAIRS.replace("--k 4", "--k 2")) == marked
    assert used() == (G if marked else "no")
    assert ("used the target's labels: labels, in the training of G" in cli("evaluate").err) == marked
    assert warned(cli, f"evaluate --g g.safetensors arrays:{target} --ways 2 --episodes 1") == marked
    done = cli("estimate-k")
    assert done.code == 0, done.err
    assert ("used the target's labels (labels, in the training of G)" in done.err) == marked
    assert warned(cli, f"cluster arrays:{target} --method kmeans --features pixels --k auto") == marked
    assert used() == (G if marked else "no")
    assert not warned(cli, f"cluster arrays:{target} --method kmeans --features pixels --k 2")
    assert used() == "no"


def test_a_header_that_does_not_list_what_was_learned_from(cli: Cli, sets: None) -> None:
    """As files of earlier versions are."""
    assert not warned(cli, f"train-g arrays:a.npz {TINY} --hidden 8")
    header, state = read_checkpoint(OUT / "g.safetensors", "g")
    write_checkpoint(OUT / "g.safetensors", replace(header, extra=without(header.extra)), state)
    assert warned(cli, "predict-pairs arrays:copy.npz")
    assert names("pairs.h5") == ["arrays:a.npz"]
    pairs, groups = read_hdf5(OUT / "pairs.h5", "pairs")
    write_hdf5(OUT / "pairs.h5", replace(pairs, extra=without(pairs.extra)), groups)
    assert warned(cli, PAIRS)
    assert used() == G
    (OUT / "g.safetensors").unlink()
    assert not warned(cli, PAIRS), "nothing is left that tells"


def without(extra: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in extra.items() if name != "learned_from"}


def test_a_pretrained_network_of_the_target(cli: Cli, sets: None) -> None:
    words = "labels, in the training of pretrained.safetensors"
    assert not warned(cli, f"pretrain arrays:a.npz {TINY}")
    for line, more in (
        ("cluster arrays:copy.npz --method kmeans --k 4 --features pretrained.safetensors", ""),
        ("cluster arrays:a.npz --method lsc --k known --features pretrained.safetensors", "number of classes; "),
    ):
        assert warned(cli, line)
        assert used() == more + words
    done = cli("estimate-k --pairs none.h5")
    assert (done.code, "used the target's labels (number of classes), so it gives no estimate" in done.err) == (3, True)
    assert warned(cli, "assign arrays:copy.npz --model pretrained.safetensors")
    assert used("assigned.h5") == words
    assert not warned(cli, "assign arrays:other.npz --model pretrained.safetensors")
    assert used("assigned.h5") == "no"

    assert not warned(cli, "train-g arrays:other.npz --init pretrained.safetensors --epochs 1 --hidden 8")
    assert names("g.safetensors") == ["arrays:a.npz", "arrays:other.npz"]
    assert warned(cli, "predict-pairs arrays:copy.npz")
    assert warned(cli, "cluster --k 4 --init pretrained.safetensors --epochs 1")
    assert used() == "labels, in the training of G and pretrained.safetensors"
    assert names("ccn.safetensors") == names("pairs.h5") == ["arrays:a.npz", "arrays:other.npz"]
    assert warned(cli, "assign arrays:a.npz")
    assert used("assigned.h5") == "labels, in the training of ccn.safetensors"
    assert warned(cli, "cluster --method kmeans --k 4 --features ccn")
    assert warned(cli, "cluster arrays:other.npz --method kmeans --k 4 --features g")
    assert used() == G


def test_every_reason_is_kept(cli: Cli, sets: None) -> None:
    assert not warned(cli, f"pretrain arrays:a.npz {TINY}")
    line = "cluster arrays:a.npz --k known --epochs 1 --init pretrained.safetensors --pairs"
    for pairs, words in (("labels", "pairs"), ("simulated:0.9,0.9", "pairs with simulated errors")):
        assert warned(cli, f"{line} {pairs}")
        assert used() == f"{words}; labels, in the training of pretrained.safetensors"
        assert names("ccn.safetensors") == ["arrays:a.npz"]
    assert all_used("no", G, "number of classes", G) == f"{G}; number of classes"
    assert all_used("no", "no") == "no"


def test_a_k_that_an_earlier_clustering_knew_stays_known(points: Path, cli: Cli) -> None:
    assert cli("cluster --k known --epochs 1 --backbone mlp").code == 0
    assert cli("cluster --method kmeans --features ccn --k 30").code == 0
    assert used() == "number of classes; labels, in the training of ccn.safetensors"
    done = cli("estimate-k")
    assert (done.code, "used the target's labels (number of classes), so it gives no estimate" in done.err) == (3, True)


def test_a_name_with_a_semicolon_is_one_reason() -> None:
    fields = {"name": "digits", "fingerprint": "1"}
    words = warn_of_training({"a; b.safetensors": [fields]}, fields)
    assert words == "labels, in the training of a, b.safetensors"
    assert beside_training(Header("ccn", "cluster", {}, 0, "cpu", extra={"uses_target_labels": words})) == "no"


def test_sets_of_imagenet_share_classes() -> None:
    def shared(one: str, other: str) -> bool:
        return overlap({"name": one, "fingerprint": "1"}, {"name": other, "fingerprint": "2"})

    assert shared("imagenet118_30/1", "imagenet118_30/2")
    assert shared("imagenet118", "imagenet118_30/1")
    assert shared("imagenet118", "imagenet10r2")
    assert not shared("imagenet882", "imagenet118")
    assert not shared("imagenet118@0", "imagenet10r2")
    ten = [HELD_OUT.index(name) for name in TEN]
    assert shared(f"imagenet118@{ten[3]}", "imagenet10r2")
    assert not shared(f"imagenet118@{ten[3]}", "imagenet10r2@0-2")


def test_self_training_hands_on_what_its_g_learned_from(points: Path, cli: Cli) -> None:
    assert warned(cli, "self-train synthetic:blobs --rounds 1")
    assert names("self-trained.safetensors") == ["synthetic:blobs"]
    assert not warned(cli, "predict-pairs synthetic:moons --g self-trained.safetensors")
    assert names("pairs.h5") == ["synthetic:blobs"]


def test_adapt_to_its_own_source(cli: Cli, sets: None) -> None:
    line = "adapt arrays:SOURCE arrays:copy.npz --steps 1 --backbone mlp --method"
    assert warned(cli, f"{line} source-only".replace("SOURCE", "a.npz"))
    assert used("adapted.h5") == "labels, in the training of the classifier"
    assert names("adapted.safetensors") == ["arrays:a.npz"]
    assert warned(cli, "assign arrays:copy.npz --model adapted.safetensors")
    assert not warned(cli, f"{line} source-only".replace("SOURCE", "other.npz"))
    assert used("adapted.h5") == "no"

    assert not warned(cli, f"train-g arrays:a.npz {TINY} --hidden 8")
    assert warned(cli, "predict-pairs arrays:copy.npz")
    other = line.replace("SOURCE", "other.npz")
    assert warned(cli, f"{other} ccn+")
    assert used("adapted.h5") == G
    assert names("adapted.safetensors") == ["arrays:a.npz", "arrays:other.npz"]
    assert not warned(cli, f"{other} source-only --pairs pairs.h5"), "they are only compared with"
    assert names("adapted.safetensors") == ["arrays:other.npz"]


def test_an_adapted_network_that_does_not_list_them_names_its_source(points: Path) -> None:
    header, _ = read_checkpoint(points / "adapted.safetensors", "adapted")
    old = replace(header, extra=without(header.extra))
    assert learned_from(old, points) == [header.dataset]


@pytest.mark.parametrize(
    ("one", "other", "shares"),
    [
        ("glyphs_eval/Morwen", "glyphs_eval", True),
        ("glyphs_eval/Morwen", "glyphs_eval/Nastric", False),
        ("glyphs_eval", "glyphs_bg", False),
        ("synthetic:blobs", "synthetic:blobs", True),
        ("synthetic:blobs", "synthetic:moons", False),
        ("cifar10_train@0-4", "cifar10_train@4-7,9", True),
        ("cifar10_train@0-4", "cifar10_train@5-9", False),
        ("cifar10_train@0-4", "cifar10_train", True),
        ("folder:a", "folder:a", False),
        ("a set of tomorrow", "a set of tomorrow", False),
    ],
)
def test_named_sets_overlap_in_whatever_form(one: str, other: str, shares: bool) -> None:
    forms = [{"name": name, "fingerprint": str(number)} for number, name in enumerate((one, other))]
    assert overlap(*forms) == overlap(*reversed(forms)) == shares


def test_the_fingerprint_of_own_data_is_that_of_all_its_classes(cli: Cli, sets: None) -> None:
    fields = {
        name: load_dataset(f"arrays:{name}", Path()).to_header() for name in ("a.npz@0", "copy.npz@1-3", "copy.npz")
    }
    assert not overlap(fields["a.npz@0"], fields["copy.npz@1-3"])
    assert overlap(fields["a.npz@0"], fields["copy.npz"])
