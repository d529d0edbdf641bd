"""A person with a folder of letters: the G of the program sorts them, and says which of its two ways it takes."""

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from clusterkit.artifacts.checkpoint import read_checkpoint, write_checkpoint
from clusterkit.artifacts.header import resolved
from clusterkit.artifacts.lineage import g_of
from clusterkit.cli import discovery, letters
from clusterkit.config import CHARACTERS, CHARACTERS_FILE, PHOTOS, Context, Kind, TrainGConfig
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.features.choice import with_training
from clusterkit.features.own_models import MOST, WIDTH, Characters, edges, stroke_width
from clusterkit.networks.read import read_g
from clusterkit.stages import cluster, embed, estimate_k, predict_pairs, report, self_train, train_g
from tests.conftest import Cli
from tests.datasets.test_mnist import write_part

WHOLE = Path("clusterkit-out")


@pytest.fixture
def glyphs() -> None:
    """A folder of 24 drawings of three characters, dark ink on light, as a person would have them."""
    subset = load_dataset("glyphs_eval", Path(), size=64).subsets[0]
    assert subset.labels is not None
    Path("letters").mkdir()
    for character in range(3):
        for number, image in enumerate(subset.images[subset.labels == subset.labels.unique()[character]][:8]):
            Image.fromarray(255 - image[0].numpy()).save(f"letters/{number}-{character}.png")


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
    assert found[0][1:4] == ["folder:letters", "--g", "characters"]
    assert found[1][2:4] == ["--g", self_train.OUTPUT]
    assert found[2][1:3] == ["--k", "24"], "not more outputs than pictures"
    assert found[4][1:5] == ["--k", "auto", "--init", "g"]
    assert "1 of 6. Train G further" in done.err
    assert "this takes some 1 s" in done.err
    assert "taken for characters, of an alphabet" in done.err
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
@pytest.mark.parametrize("size", [0.5, 61])
def test_few_large_classes_are_sorted_by_fixed_features(size: float, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    as_large(size, monkeypatch)
    done = cli("discover folder:letters")
    assert done.code == 0, done.err
    found = commands(done.err)
    assert [words[0] for words in found] == ["embed", "train-g", "predict-pairs", "estimate-k", "cluster", "report"]
    assert found[0][1:4] == ["folder:letters", "--backbone", str(CHARACTERS)]


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("size", [20, 61])
def test_clothes_are_sorted_without_weights_of_photos(size: float, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    as_large(size, monkeypatch)
    write_part(Path("root"), "FashionMNIST", "t10k", [0, 1] * 3)
    done = cli("discover fashion_mnist_test --offline --data root")
    assert done.code == 0, done.err
    assert commands(done.err)[0][:4] == ["embed", "fashion_mnist_test", "--backbone", str(CHARACTERS)]
    assert f"of few large classes (about {size} pictures each); for photos give --backbone {PHOTOS}" in done.err


@pytest.mark.parametrize("picture", ["black", "equal", "one"])
def test_pictures_that_nothing_tells_apart_end_in_one_line(picture: str, cli: Cli) -> None:
    Path("letters").mkdir()
    chance = np.random.default_rng(0)
    image = np.zeros((32, 32), np.uint8) if picture == "black" else chance.integers(0, 255, (32, 32), np.uint8)
    for number in range(1 if picture == "one" else 6):
        Image.fromarray(image).save(f"letters/{number}.png")
    done = cli(f"discover folder:letters --k 2 --backbone {CHARACTERS}")
    expected = "holds one picture only" if picture == "one" else "all pictures are copies of one"
    assert (done.code, done.out) == (3, "")
    assert expected in done.err.splitlines()[-1]


@pytest.mark.usefixtures("glyphs")
def test_bad_input_is_one_line_and_makes_nothing(cli: Cli) -> None:
    done = cli("discover folder:letters@0-2")
    assert (done.code, done.out) == (2, "")
    assert "discover reads no classes of a folder" in done.err
    for line, flag in (
        ("--size 96", "--size 96"), ("--weights none.safetensors", "--weights"),
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
    header, _ = read_g(CHARACTERS_FILE)
    pairs = replace(header, format="pairs", config={"g": "characters"})
    assert g_of(pairs, WHOLE / "pairs.h5") == CHARACTERS_FILE
    # A file of this name in the work folder, and then in the current one, wins.
    Path("characters").write_bytes(b"no network")
    assert Context().find("characters") == Path("characters")
    done = cli("predict-pairs folder:letters --g characters")
    assert (done.code, done.out) == (3, "")
    (WHOLE / "characters").write_bytes(b"no network")
    assert Context().find("characters") == WHOLE / "characters"
    assert g_of(pairs, WHOLE / "pairs.h5") == WHOLE / "characters"


def test_photos_by_the_g_of_the_program_give_a_warning(cli: Cli) -> None:
    chance = np.random.default_rng(0)
    Path("photos").mkdir()
    for number in range(4):
        Image.fromarray(chance.integers(0, 255, (32, 32, 3), np.uint8)).save(f"photos/{number}.png")
    done = cli("predict-pairs folder:photos --g characters --json")
    assert done.code == 0, done.err
    assert "--g characters: learned from handwritten characters" in done.err
    assert any("photos" in warning for warning in json.loads(done.out)["warnings"])
    done = cli(f"embed folder:photos --backbone {CHARACTERS} --json")
    assert done.code == 0, done.err
    assert "reads no colours" in json.loads(done.out)["warnings"][0]
    assert PHOTOS.names[0] in done.err


@pytest.mark.usefixtures("glyphs")
def test_self_train_without_its_labelled_set_learns_the_groups_alone(cli: Cli) -> None:
    done = cli("self-train folder:letters --g characters --rounds 1 --data nowhere")
    assert done.code == 0, done.err
    assert "omniglot_bg is not on this machine" in done.err
    first = (WHOLE / self_train.OUTPUT).read_bytes()
    assert read_g(WHOLE / self_train.OUTPUT)[0].extra["alone"] is True
    assert cli("self-train folder:letters --g characters --rounds 1 --data nowhere").code == 0
    assert (WHOLE / self_train.OUTPUT).read_bytes() == first
    # Another G has to find its set.
    shutil.copy(CHARACTERS_FILE, "mine.safetensors")
    done = cli("self-train folder:letters --g mine.safetensors --rounds 1 --data nowhere --offline")
    assert (done.code, done.out) == (3, "")
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
