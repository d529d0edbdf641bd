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
import torch
from PIL import Image

from clusterkit import console
from clusterkit.artifacts.assignments import Assignment, read_assignments, write_assignments
from clusterkit.artifacts.checkpoint import read_checkpoint, write_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import read_header
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.json_file import write_json
from clusterkit.artifacts.lineage import g_of
from clusterkit.artifacts.summary import read_any
from clusterkit.cli import discovery, letters
from clusterkit.cli.counting import OVER_CLUSTERED
from clusterkit.cli.discover import doubts_of_kept
from clusterkit.cli.steps import Steps
from clusterkit.config import (
    CHARACTERS_BACKBONE,
    CHARACTERS_FILE,
    OWN_G,
    PHOTOS,
    ClusterConfig,
    Context,
    Kind,
    SelfTrainConfig,
    TrainGConfig,
)
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.datasets.overlap import warn_of_training
from clusterkit.features.choice import with_training
from clusterkit.features.embed import foreign
from clusterkit.features.own_models import MOST, WIDTH, Characters, edges, stroke_width
from clusterkit.methods import CcnOptions
from clusterkit.networks.read import read_g
from clusterkit.report.beside import read_beside
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
    prob, header = np.eye(4, dtype=np.float32), Header("assignments", "cluster", {"method": "ccn"}, 0, "cpu")
    steps = Steps(Context(), 1, kept={"estimate-k"}, artifacts={"cluster": "few.h5", "estimate-k": "k.json"})
    estimates = {"ndc": 4, "eigengap": 4, "linkage": 4, "consensus": 4, "spread": 0}
    write_json(Path("k.json"), replace(header, format="k", stage="estimate-k"), {"estimates": {"all": estimates}})
    (WHOLE / OVER_CLUSTERED).mkdir(parents=True)
    for used, warnings in ((4, 1), (3, 0)):
        part = Assignment(np.arange(4), np.arange(4, dtype=np.int32) % used, prob)
        for file in ("few.h5", WHOLE / OVER_CLUSTERED / cluster.OUTPUT):
            write_assignments(Path(file), header, {"all": part})
        found = doubts_of_kept(steps, by_metric=False)
        assert len(found) == warnings
        assert all("all 4 outputs are in use" in warning for warning in found)


@pytest.mark.usefixtures("glyphs")
def test_labels_behind_the_programs_backbone_are_recorded(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = "folder:letters --flat --backbone clusterkit:characters"
    for line in (f"embed {flags}", f"train-g {flags} --unlabelled", "predict-pairs folder:letters --flat"):
        done = cli(line)
        assert done.code == 0, done.err
    for name in ("features.h5", "g.safetensors", "pairs.h5"):
        learned = read_any(WHOLE / name)[0].extra["learned_from"]
        assert [fields["name"] for fields in learned] == ["omniglot_bg"], name
    korean = {"name": "omniglot_bg/Korean", "fingerprint": "0"}
    assert warn_of_training({"G": learned}, korean) == "labels, in the training of G"
    # As if the pictures were drawings of that set.
    monkeypatch.setattr(cluster, "warn_of_training", lambda learned, *forms: warn_of_training(learned, korean))
    for line, networks in (
        ("cluster --method agglomerative --k 3", "G"),
        ("cluster folder:letters --flat --method kmeans --k 3 --features features.h5", "features.h5"),
    ):
        done = cli(line)
        assert done.code == 0, done.err
        used = read_assignments(WHOLE / cluster.OUTPUT)[0].extra["uses_target_labels"]
        assert used == f"labels, in the training of {networks}"
    page = read_beside(read_assignments(WHOLE / cluster.OUTPUT)[0], WHOLE / cluster.OUTPUT)
    assert "clusterkit:characters (licence: MIT, trained on omniglot_bg)" in page.weights


@pytest.mark.usefixtures("glyphs")
@pytest.mark.parametrize("further", [False, True])
def test_the_page_names_the_g_of_the_program(further: bool, cli: Cli) -> None:
    g = OWN_G
    if further:
        header, tensors = read_checkpoint(CHARACTERS_FILE, "g")
        g = self_train.OUTPUT
        WHOLE.mkdir()
        write_checkpoint(WHOLE / g, replace(header, inputs={"g": sha256(CHARACTERS_FILE)}), tensors)
    assert cli(f"predict-pairs folder:letters --g {g}").code == 0
    assert cli("cluster --method agglomerative --k 3").code == 0
    made = read_beside(read_assignments(WHOLE / cluster.OUTPUT)[0], WHOLE / cluster.OUTPUT)
    assert made.weights == "Those of the G of clusterkit (licence: MIT, trained on omniglot_bg)."


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


@pytest.mark.usefixtures("glyphs")
def test_pairs_by_the_g_of_the_program_and_a_file_of_its_name(cli: Cli) -> None:
    done = cli("predict-pairs folder:letters --g characters --json")
    assert done.code == 0, done.err
    assert "photos" not in done.err
    assert json.loads(done.out)["health"]["all"]["similar_rate"] > 0.1
    # A folder of this name is no G.
    Path("characters").mkdir()
    (WHOLE / "characters").mkdir()
    assert cli("predict-pairs folder:letters --g characters").code == 0
    pairs = read_header(WHOLE / "pairs.h5", "pairs")
    assert pairs.config["g"] == OWN_G
    for folder in (Path(), WHOLE):
        (folder / "characters").rmdir()
    # A file of this name in the work folder, and then in the current one, wins.
    Path("characters").write_bytes(b"no network")
    assert Context().find("characters") == Path("characters")
    done = cli("predict-pairs folder:letters --g characters")
    assert (done.code, done.out) == (3, "")
    (WHOLE / "characters").write_bytes(b"no network")
    assert Context().find("characters") == WHOLE / "characters"
    by_file = replace(pairs, config={"g": "characters"})
    assert g_of(by_file, WHOLE / "pairs.h5") == WHOLE / "characters"
    assert Context().find(OWN_G) == g_of(pairs, WHOLE / "pairs.h5") == CHARACTERS_FILE


@pytest.mark.usefixtures("glyphs")
def test_headers_have_one_name_of_the_g_of_the_program(cli: Cli) -> None:
    line = "cluster folder:letters --flat --method kmeans --k 3 --features"
    for name in (OWN_G, "characters"):
        done = cli(f"{line} {name}")
        assert done.code == 0, done.err
        assert "of another run" not in done.err
        assert read_assignments(WHOLE / cluster.OUTPUT)[0].config["features"] == OWN_G
    # A file of this name is not the G of the program.
    shutil.copy(CHARACTERS_FILE, "characters")
    assert cli(f"{line} characters").code == 0
    assert read_assignments(WHOLE / cluster.OUTPUT)[0].config["features"] == "characters"


def test_an_estimate_of_k_from_the_g_of_the_program_is_kept(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(4, 5)
    monkeypatch.setattr(ClusterConfig, "k", 6)
    assert cli("predict-pairs folder:letters --g characters").code == 0
    line = "cluster --k auto --epochs 1 --init characters"
    done = cli(line)
    assert done.code == 0, done.err
    assert read_assignments(WHOLE / OVER_CLUSTERED / cluster.OUTPUT)[0].config["options"]["init"] == OWN_G
    done = cli(line)
    assert (done.code, "estimating K" in done.err, "of another run" in done.err) == (0, False, False)


def test_photos_by_the_g_of_the_program_give_a_warning(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(0)
    Path("photos").mkdir()
    for number in range(4):
        Image.fromarray(chance.integers(0, 255, (32, 32, 3), np.uint8)).save(f"photos/{number}.png")
    monkeypatch.setattr(self_train, "train", lambda *parts: {})
    for command in ("predict-pairs", "self-train"):
        done = cli(f"{command} folder:photos --g characters --json --data nowhere")
        assert done.code == 0, done.err
        assert "--g characters: learned from handwritten characters" in done.err
        assert any("photos" in warning for warning in json.loads(done.out)["warnings"])
    assert "self-train: 7 rounds with 4 images take 1 s on two cores" in done.err
    done = cli(f"embed folder:photos --backbone {CHARACTERS_BACKBONE} --json")
    assert done.code == 0, done.err
    assert "reads no colours" in json.loads(done.out)["warnings"][0]
    assert PHOTOS.names[0] in done.err


@pytest.mark.usefixtures("glyphs")
def test_self_train_by_the_g_of_the_program_is_the_same_with_and_without_its_labelled_set(cli: Cli) -> None:
    line = "self-train folder:letters --g characters --rounds 1"
    done = cli(f"{line} --data nowhere")
    assert done.code == 0, done.err
    assert "the G of the program learns the groups alone" in done.err
    first = (WHOLE / self_train.OUTPUT).read_bytes()
    assert read_g(WHOLE / self_train.OUTPUT)[0].extra["alone"] is True
    # Drawings of another content would stop any other G that learned from omniglot_bg.
    for number in range(2):
        place = Path(f"data/omniglot-py/images_background/Alphabet/character0{number}")
        place.mkdir(parents=True)
        shutil.copy("letters/0-0.png", place / "0001_01.png")
    done = cli(f"{line} --data data")
    assert done.code == 0, done.err
    assert "the G of the program learns the groups alone" in done.err
    assert (WHOLE / self_train.OUTPUT).read_bytes() == first
    # Another G has to find its set.
    shutil.copy(CHARACTERS_FILE, "mine.safetensors")
    for folder in ("data", "nowhere"):
        done = cli(f"self-train folder:letters --g mine.safetensors --rounds 1 --offline --data {folder}")
        assert (done.code, done.out) == (3, ""), folder
    assert (WHOLE / self_train.OUTPUT).read_bytes() == first


def test_the_g_of_the_program_is_small_and_says_what_made_it() -> None:
    assert CHARACTERS_FILE.stat().st_size <= 3_000_000
    header, g = read_g(CHARACTERS_FILE)
    assert (header.stage, header.dataset["name"]) == ("train-g", "omniglot_bg")
    assert g.architecture.shape == (1, 64, 64)
    assert header.inputs == {}


def test_fixed_features_see_the_ink_and_not_its_colour() -> None:
    subset = load_dataset("glyphs_eval", Path(), size=64).subsets[0]
    ink = subset.images[:3].float().expand(-1, 3, -1, -1) / 255
    network = Characters(read_g(CHARACTERS_FILE)[1]).eval()
    with torch.no_grad():
        features = network(ink)
        assert torch.allclose(network(1 - ink), features, atol=1e-4)
    assert torch.allclose(features[:, :512].norm(dim=1), torch.ones(3), atol=1e-5)
    lengths = (stroke_width(ink[:, :1]) / WIDTH) ** 2
    assert (lengths < 1).all()
    assert torch.allclose(features[:, 512:].norm(dim=1), lengths, atol=1e-5)
    assert torch.allclose(features[:, 512:].mean(1), torch.zeros(3), atol=1e-6)


def test_edges_count_for_more_the_wider_the_strokes_are() -> None:
    bars = torch.zeros(4, 1, 64, 64)
    for bar, width in zip(bars, (3, 8, 24), strict=False):
        bar[0, 4:60, 20 : 20 + width] = 1
    blurred = torch.nn.functional.avg_pool2d(bars, 3, 1, 1)
    for widths in (stroke_width(bars), stroke_width(blurred)):
        assert widths.tolist() == pytest.approx([2.8, 7.0, 16.9, 0], rel=0.05)
    network = Characters(read_g(CHARACTERS_FILE)[1]).eval()
    with torch.no_grad():
        features = network(bars.expand(-1, 3, -1, -1))
    assert features[:, 512:].norm(dim=1).tolist() == pytest.approx([0.12, 0.77, MOST, 0], rel=0.1)
    assert features.isfinite().all(), "the last picture is black"


def test_edges_tell_directions_and_not_contrast() -> None:
    pictures = torch.zeros(3, 1, 64, 64)
    pictures[0, 0, 8:56, 28:36] = 1
    pictures[1] = pictures[0].transpose(1, 2)
    pictures[2] = 0.3 * pictures[0]
    upright, flat, faint = edges(pictures)
    assert torch.allclose(upright, faint, atol=1e-5)
    assert upright @ flat < 0.5


def test_the_size_of_a_class_is_that_of_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "SAMPLE", 100)
    size = letters.class_size("glyphs_eval/Morwen", Context())
    assert 10 < size < 40, "each character has twenty drawings"
    assert letters.is_alphabet(size)
    assert not letters.is_alphabet(100)
    assert load_dataset("glyphs_eval", Path()).kind is Kind.CHARACTERS
