"""adapt on the features of fixed backbones, through the command line."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from clusterkit.__main__ import main
from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.checkpoint import read_checkpoint, write_checkpoint
from clusterkit.artifacts.summary import summarise
from clusterkit.config import cache_folder
from tests.conftest import Cli
from tests.features.weights_of import state_of, weights_of
from tests.stages.test_fixed_features import FIXED, OUT, draw, header_of, run

LINE = f"adapt folder:s folder:t {FIXED} --steps 60"
OTHER = "--backbone timm:test_resnet --weights resnet.safetensors"


@pytest.fixture(scope="module")
def domains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled set of four classes, a darker one of the same classes, and weights."""
    place = tmp_path_factory.mktemp("domains")
    draw(place / "s", range(4), 6)
    for file in sorted((place / "s").rglob("*.png")):
        target = place / "t" / file.parent.name / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(file).point(lambda value: value * 0.98).save(target)
    weights_of("test_vit", place / "vit.safetensors")
    weights_of("test_resnet", place / "resnet.safetensors")
    return place


@pytest.fixture(autouse=True)
def _here(domains: Path) -> None:
    shutil.copytree(domains, ".", dirs_exist_ok=True)


@pytest.mark.parametrize("method", ["source-only", "jan", "ccn++ --loss ccl"])
def test_a_classifier_of_features_goes_to_another_domain(method: str, cli: Cli) -> None:
    if "ccn" in method:
        run(cli, f"train-g folder:s {FIXED}")
    run(cli, f"{LINE} --method {method}")
    header = header_of("adapted.h5")
    [of_target], [of_source] = header["dataset"]["features"], header["extra"]["source"]["features"]
    assert of_target == of_source
    assert of_target["name"] == header["extra"]["weights"] == "timm:test_vit"
    network, state = read_checkpoint(OUT / "adapted.safetensors", "adapted")
    assert network.extra["networks"]["all"]["backbone"] is None
    assert state["all.head.0.weight"].shape == (256, 64)
    # Weights are random and classes are four, so chance gives a quarter.
    assert run(cli, "evaluate --assignments adapted.h5")["mean"]["accuracy"] > 0.75


def test_the_result_is_read_by_other_commands_and_made_again_alike(cli: Cli) -> None:
    run(cli, f"{LINE} --method dann --snapshots")
    first = [(OUT / name).read_bytes() for name in ("adapted.h5", "adapted.safetensors")]
    assert summarise(OUT / "adapted-60.safetensors")["header"]["extra"]["steps"] == 60
    run(cli, "assign folder:t --model adapted.safetensors")
    (_, adapted), (_, assigned) = (read_assignments(OUT / name) for name in ("adapted.h5", "assigned.h5"))
    np.testing.assert_array_equal(adapted["all"].cluster, assigned["all"].cluster)
    run(cli, f"{LINE} --method dann --snapshots --resume")
    assert [(OUT / name).read_bytes() for name in ("adapted.h5", "adapted.safetensors")] == first


TUNED = f"{LINE} --method dann --fine-tune 2 --size 32 --steps 30 --source-batch 12 --target-batch 12"


@pytest.fixture(scope="module")
def tuned(domains: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder of a classifier whose backbone was trained too."""
    place = tmp_path_factory.mktemp("tuned")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shutil.copytree(domains, place / "sets"))
        assert main(TUNED.split()) == 0
    return place / "sets" / OUT


def test_the_last_blocks_of_a_backbone_are_trained(tuned: Path, cli: Cli) -> None:
    shutil.copytree(tuned, OUT)
    header = header_of("adapted.h5")
    [entry] = header["dataset"]["features"]
    assert (entry["blocks"], entry["width"], header["extra"]["weights"]) == (2, 5 * 64, "timm:test_vit")
    network, state = read_checkpoint(OUT / "adapted.safetensors", "adapted")
    tail = network.extra["networks"]["all"]["tail"]
    assert tail == {"name": "timm:test_vit", "size": 32, "blocks": 2, "map": [5, 64]}
    weights = {name: state_of("test_vit")[name] for name in ("blocks.4.mlp.fc1.weight", "norm.weight")}
    for name, before in weights.items():
        assert not torch.equal(state[f"all.backbone.1.{name}"], before)
    assert not any("blocks.3" in name for name in state)
    # Weights are random and classes are four, so chance gives a quarter.
    assert run(cli, "evaluate --assignments adapted.h5")["mean"]["accuracy"] > 0.75
    run(cli, "assign folder:t --model adapted.safetensors", "report --assignments adapted.h5")
    (_, adapted), (_, assigned) = (read_assignments(OUT / name) for name in ("adapted.h5", "assigned.h5"))
    np.testing.assert_array_equal(adapted["all"].prob, assigned["all"].prob)


def test_maps_that_do_not_fit_in_memory(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    OUT.mkdir()
    (OUT / "adapted.h5").write_text("kept")
    monkeypatch.setattr("clusterkit.adaptation.network.memory", lambda: 200_000)
    monkeypatch.setattr("clusterkit.features.embed.computed", lambda *parts: pytest.fail("embeds"))
    done = cli(TUNED)
    # Of 24 pictures in each set, 5 x 64 values in float32, and 3.3 copies.
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done.err
    assert "48 pictures needs about 203 kB of memory, but 200 kB are left; train fewer blocks" in done.err
    assert (OUT / "adapted.h5").read_text() == "kept"


def test_large_maps_are_told_of_and_not_kept(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    line = TUNED.replace("--size 32 --steps 30", "--size 48 --steps 1")
    kept = cache_folder() / "features"
    before = set(kept.rglob("*.rows"))
    with monkeypatch.context() as patch:
        patch.setattr("clusterkit.adaptation.network.LARGE", 100)
        patch.setattr("clusterkit.features.embed.MOST_MAPS", 100)
        done = cli(line)
    assert (done.code, done.err.count("are not kept on disk")) == (0, 1), done.err
    assert "; maps of 123 kB" in done.err
    assert set(kept.rglob("*.rows")) == before
    assert "maps" not in cli(line).err
    assert set(kept.rglob("*.rows")) > before


def test_networks_of_trained_blocks_that_are_damaged(tuned: Path, cli: Cli) -> None:
    shutil.copytree(tuned, OUT)
    file = OUT / "adapted.safetensors"
    header, state = read_checkpoint(file, "adapted")
    fields = header.extra["networks"]["all"]
    [entry] = header.dataset["features"]
    of_tail: list[dict[str, Any]] = [
        {"blocks": 7}, {"blocks": 1}, {"map": [64, 5]}, {"map": [5, 64, 1]}, {"name": "timm:no_model"}, {"size": "32"},
    ]  # fmt: skip
    of_features: list[dict[str, Any]] = [
        {"blocks": 1}, {"blocks": -1}, {"blocks": 9}, {"blocks": "2"}, {"map": [64, 5]}, {"map": 7}, {"width": 3},
    ]  # fmt: skip
    of_both: list[dict[str, Any]] = [
        {"blocks": 0}, {"blocks": True}, {"map": [5, 64, 1]}, {"map": [64, 5]}, {"map": 7}, {"size": "32"},
        {"size": 10**9}, {"size": 32.0}, {"name": 7},
    ]  # fmt: skip
    changes = [
        *((change, {}) for change in of_tail),
        *(({}, change) for change in of_features),
        *((change, change) for change in of_both),
    ]
    for for_tail, for_features in changes:
        networks = {"all": {**fields, "tail": {**fields["tail"], **for_tail}}}
        dataset = {**header.dataset, "features": [{**entry, **for_features}]}
        changed = replace(header, dataset=dataset, extra={**header.extra, "networks": networks})
        write_checkpoint(file, changed, state)
        done = cli("assign folder:t --model adapted.safetensors")
        assert (done.code, done.err.count("\n"), done.out) == (3, 1, ""), (for_tail, for_features, done.err)
        assert re.search("adapted.safetensors: (damaged|its header has members of other types)", done.err), done.err
    for dataset, networks in (
        ({name: value for name, value in header.dataset.items() if name != "features"}, {"all": fields}),
        ({**header.dataset, "features": [entry, entry]}, {"all": fields}),
        (header.dataset, {"all": {**fields, "tail": None}}),
        (header.dataset, {"all": {**fields, "width": 3}}),
    ):
        write_checkpoint(file, replace(header, dataset=dataset, extra={**header.extra, "networks": networks}), state)
        done = cli("assign folder:t --model adapted.safetensors")
        assert (done.code, "adapted.safetensors: damaged" in done.err) == (3, True), done.err
    file.write_bytes((tuned / file.name).read_bytes()[:-100])
    assert cli("assign folder:t --model adapted.safetensors").code == 3
    Path("vit.safetensors").unlink()
    shutil.copy(tuned / file.name, file)
    done = cli("assign folder:t --model adapted.safetensors")
    assert (done.code, "vit.safetensors is gone" in done.err) == (3, True), done.err


def test_a_training_of_blocks_is_resumed_with_as_many_blocks(
    tuned: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("clusterkit.stages.adapt.write_with_network", interrupted)
        assert cli(TUNED).code != 0
    other = cli(f"{TUNED.replace('--fine-tune 2', '--fine-tune 1')} --resume")
    assert (other.code, "the state of a run with other settings" in other.err) == (3, True), other.err
    again = cli(f"{TUNED} --resume")
    assert (again.code, "resumed after epoch 1" in again.err) == (0, True), again.err
    for name in ("adapted.h5", "adapted.safetensors"):
        assert (OUT / name).read_bytes() == (tuned / name).read_bytes()


@pytest.mark.parametrize(
    "g", [f"train-g folder:s {OTHER}", "train-g folder:s --backbone mlp --size 16 --hidden 8 --epochs 1"]
)
def test_pairs_may_be_those_of_a_g_that_reads_the_pictures_in_another_form(g: str, cli: Cli) -> None:
    run(cli, g, f"{LINE} --method ccn+")
    assert header_of("adapted.h5")["dataset"]["features"][0]["name"] == "timm:test_vit"
    Path("t/class3/3-0.png").unlink()
    before = (OUT / "adapted.h5").read_bytes()
    done = cli(f"{LINE} --method ccn+ --pairs pairs.h5")
    assert (done.code, "pairs.h5" in done.err) == (3, True), done.err
    assert (OUT / "adapted.h5").read_bytes() == before


def test_a_trained_network_may_learn_pairs_of_fixed_features(cli: Cli) -> None:
    run(cli, f"train-g folder:s {FIXED}", "adapt folder:s folder:t --method ccn+ --backbone mlp --size 16 --steps 2")
    assert "features" not in header_of("adapted.h5")["dataset"]


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (f"{LINE} --pretrained", 2, "--pretrained: timm:test_vit has weights of its own"),
        (f"{LINE} --no-pretrained", 2, "--pretrained: timm:test_vit has weights of its own"),
        ("adapt folder:s folder:t --weights vit.safetensors", 2, "--weights: belongs to fixed backbones"),
        (f"adapt synthetic:blobs synthetic:blobs {FIXED}", 2, "reads images, but synthetic:blobs holds vectors"),
        (f"adapt folder:s features:x.npy {FIXED}", 3, "holds vectors, but a fixed backbone reads pictures"),
        (f"{LINE} --weights resnet.safetensors", 2, "--weights: files given: 2, backbones: 1"),
        (f"adapt folder:s folder:t {OTHER.replace('resnet.', 'vit.')}", 3, "no weights of timm:test_resnet"),
        ("adapt folder:s folder:t --backbone timm:test_vit --weights no.pth", 3, "no.pth: no such file"),
        ("adapt folder:s folder:t --backbone dtm", 2, "--backbone dtm: choose one of"),
        (f"{LINE} --variation strong", 2, "--variation strong"),
        ("adapt folder:s folder:t --fine-tune 1", 2, "--fine-tune: trains one fixed backbone; name it"),
        (
            f"adapt folder:s folder:t {OTHER.replace(' --', '+timm:test_vit --')} --fine-tune 1",
            2,
            "--fine-tune: trains one",
        ),
        (f"{LINE} --fine-tune 7", 2, "--fine-tune 7: timm:test_vit has 6 blocks that can be trained; give a number up"),
        (f"{LINE} --fine-tune 0", 2, "--fine-tune"),
        (f"{LINE.replace('vit', 'resnet', 1)} --fine-tune 1", 3, "vit.safetensors: no weights of timm:test_resnet"),
        (
            "adapt folder:s folder:t --backbone clusterkit:characters --fine-tune 1",
            2,
            "--fine-tune 1: clusterkit:characters has no blocks",
        ),
    ],
)
def test_flags_and_files_that_do_not_fit(line: str, code: int, message: str, cli: Cli) -> None:
    np.save("x.npy", np.random.default_rng(0).normal(size=(8, 64)))
    OUT.mkdir()
    (OUT / "adapted.h5").write_text("kept")
    done = cli(f"{line} --method source-only")
    assert (done.code, done.out, message in done.err) == (code, "", True), done.err
    assert (OUT / "adapted.h5").read_text() == "kept"
    assert done.err.strip().count("\n") <= 1
