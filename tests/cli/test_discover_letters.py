"""A person with a folder of letters: the G of the program sorts them, and says which of its two ways it takes."""

import csv
import json
import shlex
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from clusterkit import console
from clusterkit.artifacts.assignments import Assignment, write_assignments
from clusterkit.artifacts.checkpoint import read_checkpoint, write_checkpoint
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.json_file import write_json
from clusterkit.cli import discovery, letters
from clusterkit.cli.counting import OVER_CLUSTERED
from clusterkit.cli.discover import doubts_of_kept
from clusterkit.cli.steps import Steps
from clusterkit.config import (
    CHARACTERS_BACKBONE,
    CHARACTERS_FILE,
    OWN_G,
    PHOTOS,
    Context,
    Kind,
    SelfTrainConfig,
    TrainGConfig,
)
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.features.choice import with_training
from clusterkit.features.embed import foreign
from clusterkit.methods import CcnOptions
from clusterkit.stages import cluster, embed, estimate_k, predict_pairs, report, self_train, train_g
from tests.conftest import Cli
from tests.datasets.test_mnist import write_part

WHOLE = Path("clusterkit-out")


def draw(characters: int, drawings: int) -> None:
    """Make a folder of drawings of characters, dark ink on light, as a person would have them."""
    subset = load_dataset("glyphs_eval", Path(), size=64).subsets[0]
    assert subset.labels is not None
    Path("letters").mkdir()
    for character in range(characters):
        for number, image in enumerate(subset.images[subset.labels == subset.labels.unique()[character]][:drawings]):
            Image.fromarray(255 - image[0].numpy()).save(f"letters/{number}-{character}.png")


@pytest.fixture
def glyphs() -> None:
    draw(3, 8)


def commands(err: str) -> list[list[str]]:
    return [shlex.split(line.partition("$ clusterkit ")[2]) for line in err.splitlines() if "$ clusterkit " in line]


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Stages that only note their settings."""
    settings: list[object] = []
    for stage in (cluster, embed, estimate_k, predict_pairs, report, self_train, train_g):
        monkeypatch.setattr(
            stage, "run", lambda config, context, stage=stage: settings.append(config) or SimpleNamespace(
                artifact=context.path(stage.OUTPUT), warnings=[], undo=None
            ),
        )  # fmt: skip
    monkeypatch.setattr("clusterkit.cli.discover.summary", lambda steps, config: ({"k": {}, "clusters": {}}, []))
    monkeypatch.setattr("clusterkit.cli.discover.check_features", lambda *parts: None)
    return settings


def as_large(size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "class_size", lambda name, context: size)


@pytest.mark.usefixtures("glyphs", "idle")
def test_an_alphabet_is_sorted_by_the_g_of_the_program(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    as_large(20, monkeypatch)
    done = cli("discover folder:letters")
    assert done.code == 0, done.err
    found = commands(done.err)
    names = ["self-train", "predict-pairs", "cluster", "estimate-k", "cluster", "report"]
    assert [words[0] for words in found] == names
    assert found[0][1:4] == ["folder:letters", "--g", OWN_G]
    assert found[1][2:4] == ["--g", self_train.OUTPUT]
    assert found[2][1:3] == ["--k", "24"], "not more outputs than pictures"
    assert "more groups than there are, with 24 outputs, as the set has only 24 items." in done.err
    assert found[4][1:5] == ["--k", "auto", "--init", "g"]
    assert "1 of 6. Train G further" in done.err
    assert "which are taken for characters: about 20 pictures of each, so an alphabet" in done.err
    assert f"--backbone {PHOTOS}" in done.err


@pytest.mark.usefixtures("glyphs", "idle")
def test_a_known_number_needs_no_estimate_and_examples_reach_only_the_clusters(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_large(20, monkeypatch)
    Path("known.csv").write_text("name,label\n0-0.png,a\n0-1.png,b\n")
    done = cli("discover folder:letters --k 3 --examples known.csv")
    assert done.code == 0, done.err
    found = commands(done.err)
    assert [words[0] for words in found] == ["self-train", "predict-pairs", "cluster", "report"]
    assert found[2][1:7] == ["--k", "3", "--init", "g", "--examples", "known.csv"]
    assert "4 of 4." in done.err


@pytest.mark.usefixtures("glyphs", "idle")
def test_labelled_letters_train_a_g_first(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    as_large(20, monkeypatch)
    for path in sorted(Path("letters").iterdir()):
        place = Path("known", path.stem[-1])
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    done = cli("discover folder:letters --like folder:known --k 3")
    assert done.code == 0, done.err
    found = commands(done.err)
    assert [words[0] for words in found] == ["train-g", "self-train", "predict-pairs", "cluster", "report"]
    assert found[1][2:4] == ["--g", train_g.OUTPUT]
    # A G that discover did not make stays, and where discover makes none it is not in the way.
    WHOLE.mkdir()
    shutil.copy(CHARACTERS_FILE, WHOLE / train_g.OUTPUT)
    done = cli("discover folder:letters --like folder:known --k 3")
    assert (done.code, done.out) == (3, "")
    assert "g.safetensors: was made by clusterkit train-g from omniglot_bg" in done.err
    assert cli("discover folder:letters --k 3").code == 0
    header, tensors = read_checkpoint(CHARACTERS_FILE, "g")
    config = resolved(with_training(TrainGConfig(dataset="folder:known"), Kind.CHARACTERS))
    write_checkpoint(WHOLE / train_g.OUTPUT, replace(header, config=config), tensors)
    assert cli("discover folder:letters --like folder:./known --k 3").code == 0


@pytest.mark.usefixtures("glyphs", "idle")
def test_only_a_g_that_discover_trained_itself_is_replaced(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    as_large(20, monkeypatch)
    header, tensors = read_checkpoint(CHARACTERS_FILE, "g")
    target = load_dataset("folder:letters", Path()).to_header()
    extra = {**header.extra, "self_trained_on": target}
    file, usual = WHOLE / self_train.OUTPUT, SelfTrainConfig(dataset="folder:letters", g=OWN_G)
    WHOLE.mkdir()
    for config, code in (
        (replace(usual, rounds=1), 3), (replace(usual, g="g.safetensors"), 3), (replace(usual, rounds=6), 3),
        (usual, 0), (replace(usual, rounds=1, automatic=True), 0),
    ):  # fmt: skip
        mine = replace(header, stage="self-train", config=resolved(config), extra=extra)
        write_checkpoint(file, mine, tensors)
        before = file.read_bytes()
        done = cli("discover folder:letters --k 6")
        assert done.code == code, config
        assert file.read_bytes() == before
        if code:
            words = "was made by clusterkit self-train from folder:letters with other settings"
            assert f"{file}: {words}, and discover would replace it" in done.err


@pytest.mark.usefixtures("idle")
def test_a_folder_that_has_the_name_of_the_programs_g(
    glyphs: None, cli: Cli, monkeypatch: pytest.MonkeyPatch, idle: list[object]
) -> None:
    as_large(20, monkeypatch)
    Path("letters").rename("characters")
    assert cli("discover folder:characters --k 3").code == 0
    assert idle[0] == SelfTrainConfig(dataset="folder:characters", g=OWN_G)


def test_a_kept_estimate_repeats_its_warning_of_full_outputs() -> None:
    digits = {"name": "digits", "fingerprint": "f"}
    prob, header = np.eye(4, dtype=np.float32), Header("assignments", "cluster", {"method": "ccn"}, 0, "cpu", digits)
    steps = Steps(Context(), 1, kept={"estimate-k"}, artifacts={"cluster": "few.h5", "estimate-k": "k.json"})
    estimates = {"ndc": 4, "eigengap": 4, "linkage": 4, "consensus": 4, "spread": 0}
    content = {"estimates": {"all": estimates}, "estimator": "ndc", "recommended": {"all": 2}}
    write_json(Path("k.json"), replace(header, format="k", stage="estimate-k"), content)
    (WHOLE / OVER_CLUSTERED).mkdir(parents=True)
    for used, warnings in ((4, 1), (3, 0)):
        part = Assignment(np.arange(4), np.arange(4, dtype=np.int32) % used, prob)
        for file in ("few.h5", WHOLE / OVER_CLUSTERED / cluster.OUTPUT):
            write_assignments(Path(file), header, {"all": part})
        found = doubts_of_kept(steps, by_metric=False)
        assert len(found) == warnings
        assert all("all 4 outputs are in use" in warning for warning in found)


@pytest.mark.usefixtures("glyphs", "idle")
@pytest.mark.parametrize(
    ("size", "reason"),
    [
        (0.5, "the G of the program finds hardly any two alike, so they are compared by the features of"),
        (61, "about 61 pictures of each, so few large classes;"),
    ],
)
def test_classes_of_another_size_are_sorted_by_fixed_features(
    size: float, reason: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_large(size, monkeypatch)
    done = cli("discover folder:letters")
    assert done.code == 0, done.err
    found = commands(done.err)
    assert [words[0] for words in found] == ["embed", "train-g", "predict-pairs", "estimate-k", "cluster", "report"]
    assert found[0][1:4] == ["folder:letters", "--backbone", str(CHARACTERS_BACKBONE)]
    assert f"which are taken for characters: {reason}" in done.err


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("size", [20, 61])
def test_clothes_are_sorted_without_weights_of_photos(size: float, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    as_large(size, monkeypatch)
    write_part(Path("root"), "FashionMNIST", "t10k", [0, 1] * 3)
    done = cli("discover fashion_mnist_test --offline --data root")
    assert done.code == 0, done.err
    assert commands(done.err)[0][:4] == ["embed", "fashion_mnist_test", "--backbone", str(CHARACTERS_BACKBONE)]
    assert "fashion_mnist_test holds grey pictures that are no characters, so they are compared by the" in done.err
    assert f"if they are photos, add --backbone {PHOTOS}" in done.err
    assert "large classes" not in done.err


def make_photos(folder: Path) -> None:
    """Make labelled photos in colour, of two classes."""
    chance = np.random.default_rng(0)
    for number in range(8):
        place = folder / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(chance.integers(0, 255, (32, 32, 3), np.uint8)).save(place / f"{number}.png")


@pytest.mark.usefixtures("glyphs", "idle")
@pytest.mark.parametrize("typed", [False, True])
def test_photos_in_colour_to_learn_from_are_told_at_the_start(
    typed: bool, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_photos(Path("photos"))

    def train(config: TrainGConfig, context: Context) -> SimpleNamespace:
        # As the features of the photos are made.
        for text in foreign(load_dataset("folder:photos", Path(), whole=True), CHARACTERS_BACKBONE.names, context):
            console.log.warning("%s", text, extra={"once": True})
        return SimpleNamespace(warnings=[])

    monkeypatch.setattr(train_g, "run", train)
    flag = f"--backbone {CHARACTERS_BACKBONE}" if typed else ""
    done = cli(f"discover folder:letters --like folder:photos --k 3 --json {flag}")
    assert done.code == 0, done.err
    about_like = "--like folder:photos: holds photos in colour, but the grey pictures to sort are compared by"
    about_backbone = f"--backbone {CHARACTERS_BACKBONE}: learned from characters and reads no colours"
    assert (done.err.count(about_like), done.err.count(about_backbone)) == ((0, 1) if typed else (1, 0))
    if not typed:
        assert "taken for characters: the pictures of --like folder:photos are none, so they are" in done.err
        assert "large classes" not in done.err
        assert done.err.index(about_like) < done.err.index("1 of 5.")
        assert json.loads(done.out)["warnings"][0].startswith(about_like)


@pytest.mark.parametrize("picture", ["black", "equal", "one"])
def test_pictures_that_nothing_tells_apart_end_in_one_line(picture: str, cli: Cli) -> None:
    Path("letters").mkdir()
    chance = np.random.default_rng(0)
    image = np.zeros((32, 32), np.uint8) if picture == "black" else chance.integers(0, 255, (32, 32), np.uint8)
    for number in range(1 if picture == "one" else 6):
        Image.fromarray(image).save(f"letters/{number}.png")
    done = cli(f"discover folder:letters --k 2 --backbone {CHARACTERS_BACKBONE}")
    expected = "holds one picture only" if picture == "one" else "all pictures are copies of one"
    assert (done.code, done.out) == (3, "")
    assert expected in done.err.splitlines()[-1]


def test_discover_sorts_letters_from_the_pictures_to_the_page(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings are short; nothing else is replaced."""
    monkeypatch.setattr(letters, "SelfTrainConfig", partial(SelfTrainConfig, rounds=1))
    monkeypatch.setattr(letters, "CcnOptions", partial(CcnOptions, epochs=60))
    draw(4, 10)
    done = cli("discover folder:letters --json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert set(found["artifacts"]) == {"self-train", "predict-pairs", "estimate-k", "cluster", "report"}
    assert (WHOLE / report.OUTPUT).is_file()
    with (WHOLE / "clusters.csv").open() as file:
        rows = list(csv.DictReader(file))
    groups = {(row["cluster"], row["path"][-5]) for row in rows}
    assert (len(rows), len(groups), found["k"]) == (40, 4, {"all": 4})


@pytest.mark.usefixtures("glyphs")
def test_bad_input_is_one_line_and_makes_nothing(cli: Cli) -> None:
    done = cli("discover folder:letters@0-2")
    assert (done.code, done.out) == (2, "")
    assert "discover reads no classes of a folder" in done.err
    for line, flag in (
        ("--size 96", "--size 96: belongs to a backbone"), ("--weights none.safetensors", "--weights"),
        ("--backbone clusterkit:none", "clusterkit:none"),
        ("--backbone clusterkit:characters --size 96", "--size 96"),
        ("--backbone clusterkit:characters --weights none.safetensors", "--weights"),
    ):  # fmt: skip
        done = cli(f"discover folder:letters {line}")
        assert (done.code, done.out) == (2, ""), line
        assert flag in done.err.splitlines()[-1], line
        assert not WHOLE.exists() or not any(WHOLE.iterdir()), line


def test_the_size_of_a_class_is_that_of_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "SAMPLE", 100)
    size = letters.class_size("glyphs_eval/Morwen", Context())
    assert 10 < size < 40, "each character has twenty drawings"
    assert letters.is_alphabet(size)
    assert not letters.is_alphabet(100)
    assert load_dataset("glyphs_eval", Path()).kind is Kind.CHARACTERS
