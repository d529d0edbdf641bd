"""The joint methods through the command line: what they start from, what they record, and how they go on."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import clusterkit.training
from clusterkit.__main__ import main
from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.lineage import again
from clusterkit.methods.common.joint import Joint
from tests.cli.test_bad_input import fails
from tests.conftest import Cli
from tests.features.weights_of import weights_of
from tests.methods.test_joint import JOINT, groups, names_of
from tests.stages.test_fixed_features import draw, header_of, run

A, T = "glyphs_bg@0-11", "glyphs_eval/Morwen@12-27,40-47"
PRETRAIN = f"pretrain {A} --size 16 --backbone lenet --epochs 1"
OUT = Path("clusterkit-out")
FILES = ("assignments.h5", "ccn.safetensors")
WITH_SOURCE = [name for name in JOINT if "source" in names_of(name)]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained")
    assert main([*PRETRAIN.split(), "--workdir", str(folder)]) == 0
    return folder / "pretrained.safetensors"


@pytest.fixture(autouse=True)
def _here(pretrained: Path) -> None:
    OUT.mkdir()
    shutil.copy(pretrained, OUT)


def line_of(method: str, more: str = "") -> str:
    return f"cluster {T} --method {method} --k 25 --epochs 3 --batch-size 25 {more}".strip()


def bytes_of(folder: Path = OUT) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


@pytest.mark.parametrize("method", JOINT)
def test_a_training_starts_from_the_classifier_and_can_go_on(
    method: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = line_of(method)
    first = cli(line)
    assert first.code == 0, first.err
    assert "starts from the classifier in clusterkit-out/pretrained.safetensors" in first.err
    # The probabilities of a t-distribution say nothing of how sure the network is.
    assert method in WITH_SOURCE or "unsure" not in first.err
    header, state = read_checkpoint(OUT / "ccn.safetensors", "ccn")
    assert header.inputs == {"init": sha256(OUT / "pretrained.safetensors")}
    assert header.config["options"]["init"] == "pretrained.safetensors"
    assert header.extra["uses_target_labels"] == "no"
    assert [entry["name"] for entry in header.extra["learned_from"]] == [A]
    if method in WITH_SOURCE:
        assert header.config["options"]["source"] == header.extra["source"]["name"] == A
        assert f"also learns the classes of {A}" in first.err
    assert all(name.startswith(("Morwen.", "typical/Morwen/")) for name in state)
    made = bytes_of()
    [group] = read_assignments(OUT / "assignments.h5")[1].values()
    assert group.prob.shape[1] == 25
    assert cli(f"assign {T}").code == 0

    saves, save = list[int](), clusterkit.training._save

    def interrupted(*args: Any) -> None:
        save(*args)
        saves.append(1)
        raise KeyboardInterrupt

    for name in FILES:
        (OUT / name).unlink()
    with monkeypatch.context() as patch:
        patch.setattr("clusterkit.training._save", interrupted)
        assert cli(line).code != 0
    assert saves
    other = cli(f"{line_of(method, '--learning-rate 0.002')} --resume")
    assert (other.code, "the state of a run with other settings" in other.err) == (3, True), other.err
    resumed = cli(f"{line} --resume")
    assert (resumed.code, "resumed after epoch 1" in resumed.err) == (0, True), resumed.err
    assert bytes_of() == made


@pytest.fixture
def vectors() -> None:
    for name, (x, labels) in {"t": groups(1, 4), "a": groups(2, 3)}.items():
        np.savez(f"{name}.npz", x=x.numpy(), y=np.array([f"class {label}" for label in labels]))


@pytest.mark.usefixtures("vectors")
@pytest.mark.parametrize("method", JOINT)
def test_vectors_are_their_own_start(method: str, cli: Cli) -> None:
    source = "--source features:a.npz" if method in WITH_SOURCE else ""
    line = f"cluster features:t.npz --method {method} --k 4 --epochs 50 --batch-size 40 {source}"
    done = cli(line)
    assert done.code == 0, done.err
    # The classifier in the work folder reads images.
    assert "does not start from the classifier in clusterkit-out/pretrained.safetensors" in done.err
    assert run(cli, "evaluate")["mean"]["acc"] > 0.9
    header = header_of("assignments.h5")
    assert header["config"]["options"]["backbone"] == "identity"
    assert run(cli, f"{line} --backbone mlp --epochs 1", "assign features:t.npz") is not None


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pictures")
    draw(place / "a", range(3), 6)
    draw(place / "t", range(3, 6), 6)
    weights_of("test_vit", place / "vit.safetensors")
    return place


@pytest.mark.parametrize("method", JOINT)
def test_features_of_fixed_backbones_are_a_start(method: str, pictures: Path, cli: Cli) -> None:
    shutil.copytree(pictures, ".", dirs_exist_ok=True)
    source = "--source folder:a" if method in WITH_SOURCE else ""
    line = f"cluster folder:t --method {method} --features features.h5 --k 3 --epochs 2 --batch-size 6 {source}"
    run(cli, "embed folder:t --backbone timm:test_vit --weights vit.safetensors", line)
    header = header_of("ccn.safetensors")
    assert header["dataset"]["features"][0]["name"] == "timm:test_vit"
    assert "features" in header["inputs"]
    if source:
        assert header["extra"]["source"]["features"][0]["name"] == "timm:test_vit"
    run(cli, "assign folder:t")
    assert cli(f"{line} --init random").code == 0
    fails(cli(f"{line} --init pretrained.safetensors"), 2, "--init pretrained.safetensors", "--features features.h5")


BAD: list[tuple[str, int, str]] = [
    ("--source nothing", 2, "nothing"),
    ("--source synthetic:blobs", 3, "the network reads (1, 16, 16); name another set or another network"),
    (
        "--source synthetic:blobs --init random",
        3,
        "40-47 has (1, 32, 32); name another set",
    ),
    ("--source folder:none", 3, "none"),
    ("--source glyphs_bg@9999", 2, "9999"),
    ("--source glyphs_bg@3", 3, "one class only"),
    ("--init g", 2, "--init g"),
    ("--init none.safetensors", 3, "none.safetensors"),
    ("--init clusterkit-out", 3, "clusterkit-out"),
    ("--backbone lenet --init pretrained.safetensors", 2, "--backbone"),
    ("--features g", 2, "--features g"),
    ("--features pixels", 2, "--features pixels"),
    ("--pairs labels", 2, "--pairs"),
    ("--constraints c.csv", 2, "--constraints"),
    ("--recipe paper", 2, "--recipe paper"),
    ("--loss kcl", 2, "--loss"),
    ("--k 1", 2, "--k 1"),
    ("--k 1000", 2, "--k 1000"),
    ("--tau 0", 2, "tau"),
    (
        "--fine-tune 9",
        2,
        "--fine-tune 9: the backbone in pretrained.safetensors has 3 groups of layers; give a smaller number",
    ),
    ("--fine-tune 1 --init random", 2, "--fine-tune"),
]


@pytest.mark.parametrize(("more", "code", "word"), BAD)
def test_what_cannot_be_is_said_and_changes_nothing(more: str, code: int, word: str, cli: Cli) -> None:
    before = sorted(path.name for path in OUT.iterdir())
    line = line_of("supreme").replace("--k 25", "") if more.startswith("--k") else line_of("supreme")
    fails(cli(f"{line} {more}"), code, word)
    assert sorted(path.name for path in OUT.iterdir()) == before


WITHOUT_EFFECT: list[tuple[str, str, str]] = [
    ("dec", "--autoencoder-epochs 2", "--autoencoder-epochs: only a dec without a start"),
    ("dec", "--interval 3", "--interval 3: the training has 3 epochs"),
    ("dtc", "--interval 3", "--interval 3: the training has 3 epochs"),
    ("autonovel", "--variation none --consistency-weight 7", "--consistency-weight: --variation none"),
    ("autonovel", "--top 999", "--top 999: of "),
    ("autonovel", "--backbone identity --top 1024", "--top 1024: of 1024 features"),
]


@pytest.mark.parametrize(("method", "more", "words"), WITHOUT_EFFECT)
def test_what_has_no_effect_is_said(method: str, more: str, words: str, cli: Cli) -> None:
    source = f"--source {A}" if method in WITH_SOURCE else ""
    fails(cli(line_of(method, f"{more} {source}")), 2, words)


@pytest.mark.usefixtures("vectors")
def test_views_of_vectors_have_no_agreement_to_weigh(cli: Cli) -> None:
    for method, more in (("autonovel", "--source features:a.npz"), ("dtc", "")):
        line = f"cluster features:t.npz --method {method} --k 4 --epochs 2 {more}"
        fails(cli(f"{line} --consistency-weight 2"), 2, "--consistency-weight: features:t.npz holds vectors")
    assert cli(f"{line} --variant te --consistency-weight 2").code == 0


@pytest.mark.usefixtures("vectors")
def test_a_classifier_of_vectors_starts_vectors_of_its_width_alone(cli: Cli) -> None:
    run(cli, "pretrain features:a.npz --backbone mlp --epochs 1")
    line = "cluster features:t.npz --method supreme --k 4 --epochs 1 --batch-size 40"
    assert "starts from the classifier" in cli(line).err
    np.savez("narrow.npz", x=groups(1, 4)[0].numpy()[:, :5])
    narrow = cli(f"{line.replace('t.npz', 'narrow.npz')} --source features:narrow.npz")
    assert (narrow.code, "does not start from the classifier" in narrow.err) == (3, True)
    assert "features:narrow.npz has no labels" in narrow.err
    fails(cli(line_of("dtc")), 2, f"there is none for {T} in clusterkit-out/pretrained.safetensors")


def test_a_typed_backbone_starts_from_random_weights(cli: Cli) -> None:
    for method, more in (("supreme", f"--source {A}"), ("dtc", "")):
        done = cli(line_of(method, f"--backbone lenet --epochs 1 {more}").replace("--epochs 3 ", ""))
        assert (done.code, "starts from random weights of lenet" in done.err) == (0, True), done.err
        header = header_of("ccn.safetensors")
        assert (header["inputs"], header["config"]["options"]["init"]) == ({}, "random")
        assert header["extra"]["networks"]["Morwen"]["backbone"] == "lenet"


def test_a_set_must_be_named(cli: Cli) -> None:
    for method in JOINT:
        fails(
            cli(f"cluster --method {method} --k 5"),
            2,
            f"name the data set: clusterkit cluster DATASET --method {method}",
        )


@pytest.mark.parametrize("content", [b"", b"x" * 100, None])
def test_a_damaged_start(content: bytes | None, cli: Cli) -> None:
    path = OUT / "pretrained.safetensors"
    path.write_bytes(path.read_bytes()[:-50] if content is None else content)
    fails(cli(line_of("supreme")), 3, "pretrained.safetensors")
    path.unlink()
    fails(cli(line_of("supreme")), 2, "--method supreme", "clusterkit pretrain")
    fails(cli(line_of("supreme", "--init random")), 2, "--source")


def test_a_source_with_the_classes_of_the_target_is_said(cli: Cli) -> None:
    done = cli(line_of("supreme", f"--source {T} --json"))
    assert done.code == 0
    assert "trained with labels of" in done.err
    assert json.loads(done.out)
    assert "source" in header_of("assignments.h5")["extra"]["uses_target_labels"]


@pytest.mark.parametrize("method", WITH_SOURCE)
def test_a_file_of_features_names_no_source(method: str, pictures: Path, cli: Cli) -> None:
    shutil.copytree(pictures, ".", dirs_exist_ok=True)
    run(cli, "embed folder:t --backbone timm:test_vit --weights vit.safetensors")
    done = cli(f"cluster folder:t --method {method} --features features.h5 --k 3 --epochs 1")
    fails(done, 2, f"--method {method}: also learns a labelled set; name it with --source")


def test_no_default_learns_the_labels_of_the_target(pictures: Path, cli: Cli) -> None:
    shutil.copytree(pictures, ".", dirs_exist_ok=True)
    run(cli, "pretrain folder:a --size 16 --backbone lenet --epochs 1")
    line = "cluster folder:a --method supreme --k 3 --epochs 1"
    fails(cli(line), 2, "--method supreme: would learn the labels of folder:a", "name a set of other images")
    fails(cli(line.replace("folder:a", "folder:a@0,1")), 2, "it shares images with folder:a@0,1")
    assert cli(line.replace("folder:a", "folder:t")).code == 0
    typed = cli(f"{line} --source folder:a")
    assert typed.code == 0
    assert "pretrained.safetensors and source: trained with labels of folder:a" in typed.err


def test_a_source_whose_classes_have_the_same_names(pictures: Path, cli: Cli) -> None:
    shutil.copytree(pictures, ".", dirs_exist_ok=True)
    shutil.copytree("a", "again")
    run(cli, "embed folder:a --backbone timm:test_vit --weights vit.safetensors")
    done = cli("cluster folder:a --method supreme --source folder:again --features features.h5 --k 3 --epochs 1")
    assert done.code == 0
    assert "has classes of the same names as folder:a: class0, class1, class2" in done.err


def test_a_file_of_labels_is_that_of_the_source_unless_k_is_known(pictures: Path, cli: Cli) -> None:
    shutil.copytree(pictures, ".", dirs_exist_ok=True)
    for name in ("a", "t"):
        paths = sorted(path.relative_to(name) for path in Path(name).rglob("*.png"))
        lines = [f"{path.as_posix()},{name}{number % 2}" for number, path in enumerate(paths)]
        Path(f"{name}.csv").write_text("\n".join(lines))
    run(cli, "embed folder:t --backbone timm:test_vit --weights vit.safetensors")
    line = "cluster folder:t --method supreme --features features.h5 --source folder:a --epochs 1 --batch-size 6"
    run(cli, f"{line} --k 3 --labels a.csv")
    header, _ = read_checkpoint(OUT / "ccn.safetensors", "ccn")
    assert "labels" not in header.dataset.get("reading", {})
    assert header.extra["source"]["reading"] == {"labels": "labels:a.csv"}
    assert "--labels a.csv" in again(header, OUT / "ccn.safetensors")
    assert run(cli, "evaluate") is not None
    run(cli, f"{line} --k known --labels t.csv")
    header, state = read_checkpoint(OUT / "ccn.safetensors", "ccn")
    assert header.dataset["reading"] == {"labels": "labels:t.csv"}
    assert "reading" not in header.extra["source"]
    assert state["all.head.2.weight"].shape[0] == 2
    assert "--labels t.csv" in again(header, OUT / "ccn.safetensors")
    fails(cli(f"{line.replace('folder:a', A)} --k 3 --labels a.csv"), 2, f"--labels: with --source it labels {A}")
    line = f"cluster {T} --method supreme --source folder:a --epochs 1 --labels a.csv --k known"
    fails(cli(line), 2, f"--labels: with --k known it labels {T}")


def test_the_set_of_the_classifier_is_read_as_the_classifier_did(pictures: Path, cli: Cli) -> None:
    shutil.copytree(pictures, ".", dirs_exist_ok=True)
    paths = sorted(path.relative_to("a") for path in Path("a").rglob("*.png"))
    Path("a.csv").write_text("\n".join(f"{path.as_posix()},{number % 2}" for number, path in enumerate(paths)))
    run(cli, "pretrain folder:a --labels a.csv --backbone lenet --size 16 --epochs 1")
    run(cli, "cluster folder:t --method supreme --k 3 --epochs 1 --batch-size 6")
    assert header_of("ccn.safetensors")["extra"]["source"]["reading"] == {"labels": "labels:a.csv"}


def test_the_command_in_messages_names_the_source(cli: Cli) -> None:
    assert cli(line_of("supreme", f"--source {A}")).code == 0
    other = cli(line_of("supreme", "--source glyphs_bg@0-5"))
    assert f"--source {A}" in other.err


def test_the_command_in_messages_has_no_defaults_of_another_method(cli: Cli) -> None:
    assert cli(line_of("dtc", "--interval 2")).code == 0
    other = cli(line_of("supreme"))
    assert "of another run (clusterkit cluster --method dtc) will be replaced" in other.err
    other = cli(
        line_of("supreme", "--init random --backbone lenet --learning-rate 0.02").replace(T, f"{T} --source {A}")
    )
    assert other.code == 0
    assert "of another run (clusterkit cluster --init pretrained.safetensors --learning-rate 0.001) will" in other.err
    other = cli(line_of("dec"))
    words = "--method supreme --backbone lenet --init random --learning-rate 0.02"
    assert f"of another run (clusterkit cluster {words}) will be replaced" in other.err


def test_only_the_last_groups_may_be_trained(cli: Cli) -> None:
    assert cli(line_of("supreme", "--fine-tune 1")).code == 0
    _, start = read_checkpoint(OUT / "pretrained.safetensors", "pretrained")
    _, trained = read_checkpoint(OUT / "ccn.safetensors", "ccn")
    names = [name.removeprefix("all.") for name in start if name.startswith("all.backbone.")]
    same = {name for name in names if torch.equal(start[f"all.{name}"], trained[f"Morwen.{name}"])}
    # The last group is the fully connected layer and what follows it.
    first = min(int(name.split(".")[1]) for name in names if len(start[f"all.{name}"].shape) == 2)
    assert same == {name for name in names if int(name.split(".")[1]) < first}


def test_the_head_of_the_source_starts_as_the_classifier(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = list[torch.Tensor]()

    def seen(joint: Joint, *rest: Any, **more: Any) -> Any:
        assert joint.net.source_head is not None
        heads.append(joint.net.source_head.weight.detach().clone())
        return train(joint, *rest, **more)

    train = Joint.train
    monkeypatch.setattr(Joint, "train", seen)
    run(cli, f"pretrain {A} --size 16 --backbone vgg-fast --epochs 1 --batch-size 20 --precision fp32")
    for more in ("", "--incremental", "--source glyphs_bg@0-5"):
        assert cli(line_of("autonovel", f"--epochs 1 {more}").replace("--epochs 3 ", "")).code == 0
    _, start = read_checkpoint(OUT / "pretrained.safetensors", "pretrained")
    classifier = start["all.head.0.weight"]
    assert torch.equal(heads[0], classifier)
    assert torch.equal(heads[1][: len(classifier)], classifier)
    assert len(heads[1]) == len(classifier) + 25
    assert heads[2].shape[0] < len(classifier)
