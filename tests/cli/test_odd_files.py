"""Files whose digest is right, but which hold what clusterkit does not write: one line says so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.campaign.mutations import closed, opened
from tests.conftest import Cli

Change = Callable[[dict[str, Any], dict[str, Any]], object]


KMEANS = "cluster synthetic:blobs --method kmeans --k 5"


def weights_of_nan(header: dict[str, Any], values: dict[str, Any]) -> None:
    values[next(name for name in values if name.endswith("weight"))].view(-1)[0] = torch.nan


def huge_weights(header: dict[str, Any], values: dict[str, Any]) -> None:
    for name, value in values.items():
        if name.endswith("weight"):
            value.view(-1)[::3] = 1e30


REFUSED: dict[str, tuple[str, Change, str, str]] = {
    "a weight of G": ("g.safetensors", weights_of_nan, "predict-pairs synthetic:blobs", "not finite"),
    "a weight of a start": (
        "g.safetensors", weights_of_nan, "train-g synthetic:blobs --init g.safetensors", "not finite",
    ),
    "a weight of a network": ("ccn.safetensors", weights_of_nan, "assign synthetic:blobs", "not finite"),
    "huge weights of G": ("g.safetensors", huge_weights, "predict-pairs synthetic:blobs", "is not finite"),
    "no name of the data set": (
        "assignments.h5", lambda header, _: header["dataset"].pop("name"), "evaluate", "members of other types",
    ),
    "a number for a name": (
        "adapted.safetensors", lambda header, _: header["config"].update(source=1e308),
        "assign synthetic:blobs --model adapted.safetensors", "members of other types",
    ),
    "K above N": (
        "k.json", lambda _, values: values["recommended"].update(all=601),
        "cluster synthetic:blobs --k auto --pairs pairs.h5 --backbone mlp", "k.json has 601 for all, more than its 600",
    ),
    "too few names": (
        "assignments.h5", lambda header, _: header["extra"].update(classes=["x"]), "report --truth",
        "does not name each of the 10 clusters of all",
    ),
    "too few names of a network": (
        "ccn.safetensors", lambda header, _: header["extra"].update(classes=["x"]), "assign synthetic:blobs",
        "does not name each of the 10 clusters of all",
    ),
    "no shape": (
        "pairs.h5", lambda header, _: header["extra"].pop("shape"), "cluster synthetic:blobs --k 5 --backbone mlp",
        "its header lacks the shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, points: Path, cli: Cli) -> None:
    name, change, line, message = REFUSED[case]
    header, values = opened(points / name)
    change(header, values)
    closed(points / name, header, values)
    done = cli(f"{line} --quiet")
    assert (done.code, done.out) == (3, ""), done.err
    assert message in done.err.splitlines()[-1]


@pytest.mark.parametrize("setting", ["bn", "g"])
def test_pairs_without_settings_count_all_the_same(setting: str, points: Path, cli: Cli) -> None:
    header, values = opened(points / "pairs.h5")
    del header["config"][setting]
    closed(points / "pairs.h5", header, values)
    done = cli("cluster --k 5 --method spectral --quiet")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    "line", ["assign synthetic:blobs --model own.safetensors", f"{KMEANS} --features own.safetensors"]
)
def test_a_network_of_huge_weights(line: str, cli: Cli) -> None:
    assert cli("pretrain synthetic:blobs --backbone mlp --epochs 1 --quiet").code == 0
    header, values = opened(Path("clusterkit-out/pretrained.safetensors"))
    huge_weights(header, values)
    closed(Path("own.safetensors"), header, values)
    done = cli(f"{line} --quiet")
    assert done.code == 3, done.err
    assert "is not finite" in done.err.splitlines()[-1]


@pytest.mark.parametrize("member", ["size", "channels"])
def test_a_g_that_does_not_say_what_it_reads(member: str, points: Path, cli: Cli) -> None:
    header, values = opened(points / "g.safetensors")
    del header["dataset"][member]
    closed(points / "g.safetensors", header, values)
    done = cli("self-train synthetic:blobs --rounds 1 --quiet")
    assert done.code in (0, 3), done.err
