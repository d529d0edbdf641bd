"""Small artifacts of each container, as the tests of this folder and the archives in tests/data write them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clusterkit.artifacts.checkpoint import read_checkpoint, write_checkpoint
from clusterkit.artifacts.hdf5 import Blocks, read_hdf5, write_hdf5
from clusterkit.artifacts.header import Header
from clusterkit.artifacts.json_file import read_json, write_json

DATASET = {"name": "glyphs_eval", "fingerprint": "f" * 64, "size": 32, "channels": 1}


def header(format: str, stage: str, **extra: Any) -> Header:
    """A header that is the same whatever versions are installed."""
    return Header(
        format, stage, {"learning_rate": 1e-05, "name": "é"}, 7, "cpu", DATASET, {"g": "0" * 64}, extra,
        {"clusterkit": "0.1.0", "torch": "2.5.0"},
    )  # fmt: skip


def tensors() -> dict[str, torch.Tensor]:
    return {
        "backbone.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 7,
        "backbone.num_batches_tracked": torch.tensor(5),
        "empty": torch.empty(0, 4),
    }


def pairs() -> dict[str, dict[str, Any]]:
    logit = (np.arange(16, dtype=np.float32).reshape(4, 4) - 8).astype(np.float16)
    ids = np.array([3, 5, 7, 9])
    factors = {"u": np.ones((4, 2), np.float32), "v": np.eye(4, 2, dtype=np.float32)}
    head = {"weight": np.array([1, -1], np.float32), "bias": np.array([0.5], np.float32)}
    return {"Angelic": {"id": ids, "logit": logit}, "Keble": {"id": ids + 10, **factors, **head}}


def assignments() -> dict[str, dict[str, Any]]:
    prob = np.eye(3, dtype=np.float32)
    return {"all": {"id": np.arange(3), "cluster": np.array([0, -1, 2], np.int32), "prob": prob}}


SCORES = {"subsets": {"all": {"acc": 0.1 + 0.2, "ndc": 5.0}}, "mean": {"acc": 1e-05}, "notes": {}}
ESTIMATES = {"estimates": {"all": {"ndc": 5, "spread": 0}}, "recommended": {"all": 5}, "estimator": "ndc"}


def rows(groups: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same groups, each logit matrix given in blocks, the last first."""
    out = {}
    for title, group in groups.items():
        out[title] = dict(group)
        if "logit" in group:
            logit = group["logit"]
            places = [(slice(start, start + 3), slice(None)) for start in range(0, len(logit), 3)]
            blocks = [(place, logit[place]) for place in reversed(places)]
            out[title]["logit"] = Blocks(logit.shape, "<f2", (2, 2), blocks)
    return out


@dataclass(frozen=True)
class Sample:
    """One artifact: its file name and format, how to write and read it, and its content as plain values."""

    name: str
    format: str
    write: Callable[[Path], None]
    read: Callable[[Path, str], tuple[Header, Any]]
    content: Any

    def values(self, path: Path) -> tuple[Header, Any]:
        found, content = self.read(path, self.format)
        return found, plain(content)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def plain(content: Any) -> Any:
    """Arrays and tensors as types, shapes and lists, which can be compared."""
    if isinstance(content, dict):
        return {name: plain(value) for name, value in content.items()}
    if isinstance(content, np.ndarray | torch.Tensor):
        return str(content.dtype), tuple(content.shape), content.tolist()
    return content


def _hdf5(name: str, format: str, stage: str, groups: dict[str, Any], **extra: Any) -> Sample:
    made = header(format, stage, **extra)
    return Sample(name, format, lambda path: write_hdf5(path, made, rows(groups)), read_hdf5, plain(groups))


def _safetensors(name: str, format: str, stage: str, **extra: Any) -> Sample:
    made = header(format, stage, **extra)
    return Sample(name, format, lambda path: write_checkpoint(path, made, tensors()), read_checkpoint, plain(tensors()))


def _json(name: str, format: str, stage: str, content: dict[str, Any]) -> Sample:
    made = header(format, stage)
    return Sample(name, format, lambda path: write_json(path, made, dict(content)), read_json, content)


SAMPLES = {
    sample.name: sample
    for sample in (
        _safetensors("g.safetensors", "g", "train-g", target="glyphs_eval", history=[{"loss": 0.25}]),
        _safetensors("pretrained.safetensors", "pretrained", "pretrain", classes=["a", "b"], networks={}, history=[]),
        _safetensors("ccn.safetensors", "ccn", "cluster", uses_target_labels="no", classes=None, networks={}),
        _safetensors("adapted.safetensors", "adapted", "adapt", classes=["a", "b"], networks={}),
        _hdf5("pairs.h5", "pairs", "predict-pairs", pairs(), shape=[1, 32, 32]),
        _hdf5("assignments.h5", "assignments", "cluster", assignments(), uses_target_labels="no", classes=None),
        _json("k.json", "k", "estimate-k", ESTIMATES),
        _json("evaluation.json", "evaluation", "evaluate", SCORES),
    )
}

CONTAINERS = [SAMPLES[name] for name in ("g.safetensors", "assignments.h5", "evaluation.json")]
"""One of each container."""


if __name__ == "__main__":
    folder = Path(__file__).parents[1] / "data" / "archives" / "v1"
    for sample in SAMPLES.values():
        sample.write(folder / sample.name)
