"""The recipes: settings where no flag is typed, flags that win over them, and self-train before missing pairs."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.checkpoint import read_checkpoint, write_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import read_header
from clusterkit.config import Backbone, Context, Head, Kind, Recipe, TrainGConfig, Variation
from clusterkit.errors import UsageError
from clusterkit.features.choice import with_backbone, with_training
from clusterkit.metrics import doubts
from clusterkit.settings import Fixed
from clusterkit.stages import self_train
from clusterkit.studies.common.runs import OMNIGLOT_G
from tests.conftest import once, run_all

TRAIN = "train-g arrays:known.npz --backbone mlp --hidden 64 --size 8 --variation mild"
CLUSTER = "cluster arrays:new.npz --k 6 --epochs 2"
SELF_TRAINED = "self-trained.safetensors"
REMOVE = "; remove it, or add --no-self-train"
BEST = {
    "backbone": Backbone.CONV4_FINE, "size": 64, "epochs": 60, "learning_rate": 3e-3, "variation": Variation.STRONG,
}  # fmt: skip
VIT = Fixed(("timm:test_vit",))
PAPER = {"backbone": Backbone.CONV4, "size": None, "epochs": 16, "learning_rate": 1e-3, "variation": Variation.MILD}


def chosen(kind: Kind, given: frozenset[str] = frozenset(), **typed: object) -> dict[str, object]:
    config = TrainGConfig(dataset="set", **typed)  # type: ignore[arg-type]
    config = with_backbone(config, "set", kind, Context(given=given))
    return {name: getattr(config, name) for name in BEST}


@pytest.mark.parametrize(
    ("kind", "typed", "expected"),
    [
        (Kind.CHARACTERS, {}, BEST),
        (Kind.CHARACTERS, {"epochs": 30}, {**BEST, "epochs": 30}),
        (Kind.CHARACTERS, {"backbone": Backbone.LENET, "size": 32}, {**BEST, "backbone": Backbone.LENET, "size": 32}),
        (Kind.CHARACTERS, {"learning_rate": 1e-3}, {**BEST, "learning_rate": 1e-3}),
        (Kind.CHARACTERS, {"variation": Variation.MILD}, {**BEST, "variation": Variation.MILD}),
        (Kind.CHARACTERS, {"recipe": Recipe.PAPER}, PAPER),
        (Kind.CHARACTERS, {"backbone": VIT, "head": Head.PAIR}, {**PAPER, "backbone": VIT, "variation": None}),
        (Kind.CHARACTERS, {"recipe": Recipe.PAPER, "size": 64}, {**PAPER, "size": 64}),
        (Kind.PHOTOS, {"recipe": Recipe.PAPER}, PAPER),
        (Kind.PHOTOS, {"backbone": Backbone.RESNET18}, {**PAPER, "backbone": Backbone.RESNET18}),
        (Kind.VECTORS, {}, PAPER),
        (Kind.VECTORS, {"recipe": Recipe.PAPER}, PAPER),
    ],
)
def test_a_typed_flag_replaces_one_setting_of_the_recipe(
    kind: Kind, typed: dict[str, object], expected: dict[str, object]
) -> None:
    assert chosen(kind, frozenset(typed), **typed) == expected


def test_a_variation_of_pictures_is_refused_before_features_are_made() -> None:
    with pytest.raises(UsageError, match="--variation strong: changes pictures"):
        chosen(Kind.CHARACTERS, backbone=VIT, head=Head.PAIR, variation=Variation.STRONG)


def test_photos_have_fixed_features_and_no_training_by_default() -> None:
    found = chosen(Kind.PHOTOS)
    assert isinstance(found.pop("backbone"), Fixed)
    assert set(found.values()) == {None}
    config = with_training(TrainGConfig(dataset="set", head=Head.PAIR, backbone="timm:x"), Kind.PHOTOS)  # type: ignore[arg-type]
    # Features are not varied, and a variation would be refused.
    assert (config.epochs, config.variation) == (16, None)


def test_the_studies_share_the_recipe_but_train_for_longer() -> None:
    values = {name: getattr(OMNIGLOT_G, name) for name in BEST}
    assert (OMNIGLOT_G.dataset, OMNIGLOT_G.recipe, values) == ("omniglot_bg", Recipe.BEST, {**BEST, "epochs": 100})


def make_drawings(folder: Path) -> None:
    """Patterns, drawn with noise: labelled drawings of sixty, and drawings of six others."""
    rng = np.random.default_rng(0)
    patterns = (rng.random((66, 64)).argsort(1) < 20).reshape(66, 8, 8)
    for name, y in (("known", np.arange(600) % 60), ("new", np.arange(60) % 6 + 60)):
        x = (patterns[y] * 200 + rng.integers(0, 40, (len(y), 8, 8))).astype(np.uint8)
        np.savez(folder / f"{name}.npz", x=x, **({"y": y} if name == "known" else {}))


@pytest.fixture(scope="session")
def drawings_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of drawings, with a work folder that holds a G of them by the best recipe."""

    def make(folder: Path) -> None:
        folder.mkdir()
        make_drawings(folder)
        run_all(TRAIN.replace("known.npz", f"{folder}/known.npz") + " --epochs 60")(folder / "clusterkit-out")

    return once(tmp_path_factory, "drawings", make)


@pytest.fixture
def work(drawings_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the work folder beside the drawings."""
    shutil.copytree(drawings_made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "clusterkit-out"


def starts_of(work: Path) -> tuple[str, str, str]:
    """Return the G that predicted the pairs, the start of the network, and the recipe of the clustering."""
    header = read_assignments(work / "assignments.h5")[0]
    return (
        read_header(work / "pairs.h5", "pairs").config["g"],
        header.config["options"]["init"],
        header.config["recipe"],
    )


def test_the_header_has_the_recipe_and_the_values_used(work: Path, cli) -> None:
    header, _ = read_checkpoint(work / "g.safetensors", "g")
    values = {"recipe": "best", "backbone": "mlp", "size": 8, "learning_rate": 3e-3, "variation": "mild", "epochs": 60}
    assert {name: header.config[name] for name in values} == values
    assert header.extra["recipe"] == "best"
    done = cli(f"{TRAIN} --epochs 1")
    line = "arrays:known.npz holds grey pictures, which are taken for characters: backbone mlp, size 8, epochs 1 (--re"
    assert done.err.count(line) == 1
    done = cli("train-g arrays:known.npz --recipe paper --epochs 1")
    assert (done.code, "taken for characters" in done.err) == (0, False)
    header, _ = read_checkpoint(work / "g.safetensors", "g")
    values = {"recipe": "paper", "backbone": "conv4", "size": None, "learning_rate": 1e-3, "variation": "mild"}
    assert {name: header.config[name] for name in values} == values
    assert "recipe" not in header.extra


def test_missing_pairs_are_predicted_after_self_train(work: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sha256(work / "g.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(doubts, "of_kind", lambda path, *parts: [f"doubt of {path.name}"])
        done = cli(f"{CLUSTER} --json")
    assert done.code == 0, done.err
    warnings = json.loads(done.out)["warnings"]
    assert warnings[:2] == ["doubt of g.safetensors", "doubt of self-trained.safetensors"], "of both stages"
    assert "training G further on arrays:new.npz first" in done.err
    assert "--no-self-train leaves it out" in done.err
    assert starts_of(work) == ("self-trained.safetensors", "g", "best")
    header, _ = read_checkpoint(work / "self-trained.safetensors", "g")
    assert (header.inputs["g"], header.config["automatic"], header.extra["recipe"]) == (before, True, "best")
    made = (work / "assignments.h5").read_bytes()
    done = cli(CLUSTER)
    assert "training G further" not in done.err
    assert "predicting" not in done.err, "both files are up to date"
    assert (work / "assignments.h5").read_bytes() == made

    assert cli(f"{CLUSTER} --no-self-train").code == 0
    assert starts_of(work) == ("g.safetensors", "g", "best")
    assert cli(f"{CLUSTER} --recipe paper --backbone mlp").code == 0
    assert starts_of(work) == ("g.safetensors", "random", "paper")
    assert cli(f"{CLUSTER} --backbone mlp").code == 0
    assert starts_of(work) == ("self-trained.safetensors", "random", "best")
    assert cli(f"{CLUSTER} --init random").code == 0
    assert starts_of(work) == ("self-trained.safetensors", "random", "best")


def test_no_self_train_is_refused_where_flags_or_pairs_leave_nothing_to_train(work: Path, cli) -> None:
    own = "clusterkit-out/pairs.h5 is a file of yours, so no pairs are predicted; it is by"
    for before, line, message in (
        ("", f"{CLUSTER} --recipe paper", "--recipe paper trains no G further; leave one of them out"),
        ("", "cluster --method kmeans --k 3", "pairs only name the set here, so self-train does not run; leave it out"),
        ("", "cluster arrays:new.npz --method kmeans --k 3", "this command predicts no pairs; leave it out"),
        ("predict-pairs arrays:new.npz", CLUSTER, f"{own} g.safetensors; leave the flag out"),
        ("cp renamed.safetensors", CLUSTER, f"{own} renamed.safetensors, which self-train trained further; leave"),
        ("cp self-trained.safetensors", CLUSTER, f"{own} {SELF_TRAINED}, which self-train trained further; leave"),
    ):
        if before.startswith("cp"):
            name = before.split()[1]
            header, tensors = read_checkpoint(work / "g.safetensors", "g")
            inputs = {"g": sha256(work / "g.safetensors")}
            write_checkpoint(work / name, replace(header, stage="self-train", inputs=inputs), tensors)
            before = f"predict-pairs arrays:new.npz --g {name}"
        assert not before or cli(before).code == 0
        files = {path.name: path.read_bytes() for path in work.iterdir() if path.is_file()}
        done = cli(f"{line} --no-self-train")
        assert (done.code, done.out) == (2, ""), line
        [text] = done.err.splitlines()
        assert f"--no-self-train: {message}" in text
        assert {path.name: path.read_bytes() for path in work.iterdir() if path.is_file()} == files
    (work / "pairs.h5").write_bytes(b"no pairs")
    done = cli(f"{CLUSTER} --no-self-train")
    assert (done.code, done.out) == (3, "")
    assert "pairs.h5" in done.err.splitlines()[-1]


def test_no_self_train_works_with_any_g_and_says_where_it_changes_nothing(work: Path, cli) -> None:
    text = "--no-self-train changes nothing: cluster never trains clusterkit-out/g.safetensors further"
    done = cli(f"{CLUSTER} --no-self-train")
    assert (done.code, text in done.err) == (0, False)
    header, tensors = read_checkpoint(work / "g.safetensors", "g")
    extra = {name: value for name, value in header.extra.items() if name != "recipe"}
    write_checkpoint(work / "g.safetensors", replace(header, extra=extra), tensors)
    done = cli(f"{CLUSTER} --no-self-train --init g")
    assert (done.code, done.err.count(text)) == (0, 1), done.err


def test_recipe_paper_is_refused_for_own_pairs_and_a_method_without_training(work: Path, cli) -> None:
    line = "cluster arrays:new.npz --method agglomerative --k 6"
    assert cli(f"{line} --recipe paper").code == 0, "it decides which G predicts the pairs"
    assert read_header(work / "pairs.h5", "pairs").config["g"] == "g.safetensors"
    for before, more in (("", "--pairs pairs.h5"), ("predict-pairs arrays:new.npz", "")):
        assert not before or cli(before).code == 0
        made = (work / "assignments.h5").read_bytes()
        done = cli(f"{line} --recipe paper {more}")
        assert (done.code, done.out) == (2, ""), done.err
        assert "--recipe paper: has no effect on --method agglomerative with --k 6 and pairs of your own" in done.err
        assert (work / "assignments.h5").read_bytes() == made
        assert cli(f"{line} {more}").code == 0
    assert cli("cluster arrays:new.npz --k 6 --epochs 1 --recipe paper --backbone mlp").code == 0
    assert read_assignments(work / "assignments.h5")[0].config["options"]["init"] == "random"


def test_a_new_g_or_set_is_self_trained_again(work: Path, cli) -> None:
    assert cli(CLUSTER).code == 0
    first = sha256(work / "self-trained.safetensors")
    assert cli(f"{TRAIN} --epochs 30").code == 0
    done = cli(CLUSTER)
    assert (done.code, "training G further" in done.err) == (0, True)
    assert first != (second := sha256(work / "self-trained.safetensors"))
    np.savez("few.npz", x=np.load("new.npz")["x"][:36])
    assert cli("cluster arrays:few.npz --k 6 --epochs 2").code == 0
    assert second != sha256(work / "self-trained.safetensors")
    assert cli(f"{TRAIN} --epochs 1 --recipe paper").code == 0
    done = cli(f"{CLUSTER} --backbone mlp")
    assert (done.code, "training G further" in done.err) == (0, False)
    assert starts_of(work) == ("g.safetensors", "random", "best")


def test_a_self_trained_g_of_the_user_is_used_and_never_replaced(work: Path, cli) -> None:
    assert cli("self-train arrays:new.npz --rounds 1").code == 0
    made = (work / "self-trained.safetensors").read_bytes()
    done = cli(CLUSTER)
    assert (done.code, "training G further" in done.err) == (0, False)
    assert starts_of(work) == ("self-trained.safetensors", "g", "best")
    done = cli("cluster arrays:known.npz --k 6 --epochs 2")
    assert (done.code, done.out) == (3, "")
    line = done.err.splitlines()[-1]
    assert "clusterkit-out/self-trained.safetensors: was trained further on arrays:new.npz, not on arrays:kn" in line
    assert line.endswith("run: clusterkit self-train arrays:known.npz --rounds 1, or add --no-self-train")
    assert (work / "self-trained.safetensors").read_bytes() == made


def test_a_self_trained_g_of_the_user_that_does_not_fit_says_why_and_how_to_make_it_again(work: Path, cli) -> None:
    assert cli("self-train arrays:new.npz --rounds 1").code == 0
    path = work / "self-trained.safetensors"
    made = path.read_bytes()

    def refused(more: str = "") -> str:
        done = cli(f"cluster arrays:new.npz --k 6 --workdir {work} {more}")
        assert (done.code, done.out) == (3, "")
        assert path.read_bytes() == made
        return done.err.splitlines()[-1]

    again = f"run: clusterkit self-train arrays:new.npz --rounds 1 {{}}--workdir {work}, or add --no-self-train"
    line = refused("--pixel-max 300")
    assert "was trained further on arrays:new.npz, not on arrays:new.npz --pixel-max 300; " in line
    assert line.endswith(again.format("--pixel-max 300 "))
    drawings = {name: dict(np.load(f"{name}.npz")) for name in ("known", "new")}
    for name in ("new", "known"):
        np.savez(f"{name}.npz", **drawings[name] | {"x": drawings[name]["x"][::-1]})
        line = refused()
        assert f"the content of arrays:{name}.npz has changed since this file was made; " in line
        assert line.endswith(again.format(""))
        np.savez(f"{name}.npz", **drawings[name])
    assert cli(f"{TRAIN} --epochs 1").code == 0
    line = refused()
    assert "was made from another g.safetensors than the present one; " in line
    assert line.endswith(again.format(""))


def test_pairs_by_another_g_are_predicted_again_and_the_reason_names_it(work: Path, cli) -> None:
    assert cli(CLUSTER).code == 0
    made = (work / "pairs.h5").read_bytes()
    adapt = "adapt arrays:known.npz arrays:new.npz --steps 1 --backbone mlp"
    done = cli(adapt)
    assert (done.code, "predicting" in done.err) == (0, False), "pairs by the self-trained G are good pairs"
    assert (work / "pairs.h5").read_bytes() == made

    (work / "self-trained.safetensors").unlink()
    done = cli(adapt)
    assert done.code == 0, done.err
    assert "(those of arrays:new.npz are by self-trained.safetensors, which is gone)" in done.err
    assert read_header(work / "pairs.h5", "pairs").config["g"] == "g.safetensors"
    done = cli("cluster --method kmeans --k 3")
    assert (done.code, "predicting" in done.err) == (0, False), "these pairs only name the set"
    Path("known.npz").unlink()
    done = cli(CLUSTER)
    assert done.code == 3
    assert "(those of arrays:new.npz are by g.safetensors, not by self-trained.safetensors)" in done.err


def test_an_unsure_g_gives_each_advice_once(work: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = self_train.Part(None, -torch.ones(60), None, [], Kind.CHARACTERS)  # type: ignore[arg-type]
    monkeypatch.setattr(self_train, "grouped", lambda *parts: nothing)
    done = cli(CLUSTER)
    assert (done.code, done.out) == (3, "")
    line = done.err.splitlines()[-1]
    assert "G is not sure of any two groups of images; train G for longer" in line
    assert line.count("self-train") == 1
    assert line.endswith("--no-self-train leaves this training out")


def test_resume_gives_the_bytes_of_a_run_without_a_break(work: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli(CLUSTER).code == 0
    whole = {path.name: path.read_bytes() for path in work.iterdir() if path.is_file()}
    for name in whole.keys() - {"g.safetensors"}:
        (work / name).unlink(missing_ok=True)
    rounds, grouped = [], self_train.grouped

    def breaks(*args: object) -> object:
        rounds.append(1)
        if len(rounds) == 3:
            raise KeyboardInterrupt
        return grouped(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(self_train, "grouped", breaks)
    assert cli(CLUSTER).code == 130
    assert {path.name for path in work.iterdir() if path.is_file()} == {"g.safetensors"}
    assert cli(f"{CLUSTER} --resume").code == 0
    assert len(rounds) < 3 + self_train.SelfTrainConfig.rounds
    assert {path.name: path.read_bytes() for path in work.iterdir() if path.is_file()} == whole


@pytest.mark.parametrize(
    ("damage", "said", "advice"),
    [
        (lambda work: (work.parent / "known.npz").unlink(), "known.npz", "--no-self-train leaves this training out"),
        (lambda work: (work / SELF_TRAINED).write_bytes(b"no"), "not a clusterkit g file", REMOVE),
        (lambda work: (work / SELF_TRAINED).mkdir(), "cannot be read", REMOVE),
        (lambda work: shutil.copy(work / "g.safetensors", work / SELF_TRAINED), "was made by train-g, not by", REMOVE),
    ],
)
def test_self_train_that_is_impossible_says_how_to_leave_it_out(
    damage, said: str, advice: str, work: Path, cli
) -> None:
    damage(work)
    files = {path.name: path.is_dir() or path.read_bytes() for path in work.iterdir()}
    done = cli(CLUSTER)
    assert (done.code, done.out) == (3, "")
    assert said in (line := done.err.splitlines()[-1])
    assert advice in line
    assert "name another file" not in line
    assert {path.name: path.is_dir() or path.read_bytes() for path in work.iterdir()} == files
    assert cli(f"{CLUSTER} --no-self-train").code == 0


def test_a_drawing_alone_is_refused_before_self_train(work: Path, cli) -> None:
    np.savez("one.npz", x=np.zeros((1, 8, 8), np.uint8))
    done = cli("cluster arrays:one.npz --k auto --json")
    assert (done.code, done.out) == (3, "")
    assert "holds only one item, which has no pairs" in done.err.splitlines()[-1]
    assert not (work / "self-trained.safetensors").exists()


def test_an_unknown_recipe(cli) -> None:
    for line in ("train-g digits --recipe good", "cluster --recipe good"):
        done = cli(line)
        assert (done.code, done.out) == (2, "")
        assert "--recipe" in done.err
