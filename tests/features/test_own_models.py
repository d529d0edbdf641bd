"""The G of the program, learned from characters: its fixed features, and the commands that read it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.checkpoint import read_checkpoint, write_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import read_header
from clusterkit.artifacts.lineage import g_of
from clusterkit.artifacts.summary import read_any
from clusterkit.cli.counting import OVER_CLUSTERED
from clusterkit.config import CHARACTERS_BACKBONE, CHARACTERS_FILE, OWN_G, PHOTOS, ClusterConfig, Context
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.datasets.overlap import warn_of_training
from clusterkit.features.own_models import MOST, WIDTH, Characters, edges, stroke_width
from clusterkit.networks.read import read_g
from clusterkit.report.beside import read_beside
from clusterkit.stages import cluster, self_train
from tests.cli.test_discover_letters import WHOLE, draw
from tests.conftest import Cli


@pytest.fixture
def glyphs() -> None:
    draw(3, 8)


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
