"""What a report reads beside assignments, and what it tells of the weights behind them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clusterkit.artifacts.checkpoint import write_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.header import Header
from clusterkit.artifacts.json_file import write_json
from clusterkit.config import Backbone, Context, Kind
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.errors import InputError
from clusterkit.networks.backbones import weights_statistics
from clusterkit.networks.build import Architecture, ClusterNet
from clusterkit.networks.read import state_of
from clusterkit.report.beside import Beside, read_beside, settings_of
from clusterkit.stages import report as stage
from clusterkit.stages.report import constraints_of, vectors_of

DATASET = {"name": "digits", "fingerprint": "f" * 64, "size": 8, "channels": 3}
HEADER = Header("assignments", "cluster", {"pairs": "pairs.h5", "method": "ccn"}, 0, "cpu", DATASET, {}, {})


def with_network(folder: Path, mean: tuple[float, ...], std: tuple[float, ...]) -> Header:
    """Write a small network that standardises by these numbers; return the header of its assignments."""
    network = ClusterNet(Architecture(Backbone.MLP, (3, 8, 8), mean, std, 4, outputs=2))
    extra = {"networks": {"all": network.architecture.to_header()}}
    write_checkpoint(folder / "ccn.safetensors", replace(HEADER, format="ccn", extra=extra), state_of({"all": network}))
    return replace(HEADER, inputs={"ccn": sha256(folder / "ccn.safetensors")})


def test_networks_from_imagenet_weights_have_their_licence_on_the_page(tmp_path: Path) -> None:
    imagenet = with_network(tmp_path, *weights_statistics(Backbone.RESNET18))
    assert "ImageNet" in read_beside(imagenet, tmp_path / "assignments.h5").weights
    plain = with_network(tmp_path, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    made = read_beside(plain, tmp_path / "assignments.h5")
    assert "ImageNet" not in made.weights
    assert made.network("all") is made.network("another") is not None
    assert read_beside(HEADER, tmp_path / "assignments.h5").weights == "None: no network was used."


@pytest.mark.parametrize("state", ["missing", "changed", "damaged"])
def test_a_network_that_is_not_the_recorded_one_is_left_out(tmp_path: Path, state: str) -> None:
    header = with_network(tmp_path, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    file = tmp_path / "ccn.safetensors"
    if state == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-5])
    if state == "damaged":
        header = replace(header, inputs={"ccn": sha256(file)})
    made = read_beside(header, tmp_path / "assignments.h5")
    assert made.network("all") is None
    assert made.notes[0].startswith("ccn.safetensors")
    assert made.weights.startswith("Unknown")


def test_weights_are_unknown_without_the_g_of_the_pairs(tmp_path: Path) -> None:
    plain = with_network(tmp_path, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    plain.inputs["pairs"] = "0" * 64
    assert read_beside(plain, tmp_path / "assignments.h5").weights.startswith("Unknown: the G")
    only = replace(HEADER, inputs={"constraints": "0" * 64})
    assert read_beside(only, tmp_path / "assignments.h5").weights == "None: no network was used."
    imagenet = with_network(tmp_path, *weights_statistics(Backbone.RESNET18))
    imagenet.inputs["pairs"] = "0" * 64
    assert "ImageNet" in read_beside(imagenet, tmp_path / "assignments.h5").weights


def test_constraints_that_hold_are_counted() -> None:
    counts = {"all": {"must": {"held": 3, "of": 4}, "cannot": {"held": 0, "of": 0}}}
    header = replace(HEADER, extra={"constraints": counts})
    assert constraints_of(header, "all") == [("must-link", 3, 4)]
    assert constraints_of(header, "other") == constraints_of(HEADER, "all") == []


def test_features_are_computed_once_for_all_subsets(monkeypatch: pytest.MonkeyPatch) -> None:
    subsets = tuple(Subset(name, torch.zeros(2, 1, 8, 8), torch.arange(2), None) for name in "ab")
    data = Dataset("mine", Kind.PHOTOS, subsets, (), "f", 8, None)
    beside, calls = Beside(replace(HEADER, dataset={**DATASET, "features": [{"name": "timm:a"}]})), list[object]()
    monkeypatch.setattr(stage, "with_features", lambda *parts: calls.append(parts) or data)
    assert list(vectors_of(data, beside, Context())) == ["a", "b"]
    assert len(calls) == 1

    def gone(*_: object) -> Dataset:
        raise InputError("no weights")

    monkeypatch.setattr(stage, "with_features", gone)
    assert vectors_of(data, beside, Context()) == {}
    assert len(beside.notes) == 1


@pytest.mark.parametrize("source", ["pairs", "assignments"])
def test_estimates_of_other_files_are_left_out(source: str, tmp_path: Path) -> None:
    inputs = {"pairs": "0" * 64, source: "0" * 64}
    content = {"estimates": {}, "estimator": "ndc", "recommended": {}}
    write_json(tmp_path / "k.json", replace(HEADER, format="k", stage="estimate-k", inputs=inputs), content)
    (tmp_path / "assignments.h5").touch()
    made = read_beside(HEADER, tmp_path / "assignments.h5")
    assert made.notes[-1].startswith(f"k.json was made from other {source}")


def test_settings_are_shown_with_the_options_of_the_method() -> None:
    config = {"method": "ccn", "features": None, "options": {"batch_size": 7, "epochs": None}}
    shown = dict(settings_of(replace(HEADER, config=config, seed=5)))
    assert shown["batch size"] == 7
    assert shown["seed"] == 5
    assert not {"features", "epochs", "options"} & shown.keys()
    assert torch.__version__ in shown.values()
