import logging
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from clusterkit.config import cache_folder
from clusterkit.features import own_models
from clusterkit.features.models import Model
from clusterkit.features.store import Store

MODEL = Model(
    name="timm:test_vit", file=Path("w.safetensors"), sha256="0" * 64, licence="mit", width=3, size=160, crop=0.9,
    mode="center", interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5),
)  # fmt: skip
ROWS = np.arange(30, dtype=np.float32).reshape(10, 3)
KEYS = [bytes([number]) * 32 for number in range(10)]


def plain(rows: dict[bytes, NDArray[np.float32]]) -> dict[bytes, list[float]]:
    return {key: row.tolist() for key, row in rows.items()}


def expected(numbers: range) -> dict[bytes, list[float]]:
    return {KEYS[number]: ROWS[number].tolist() for number in numbers}


def filled() -> Store:
    store = Store(MODEL, "cpu")
    with store.held():
        store.write(KEYS[:4], ROWS[:4])
        store.write(KEYS[4:7], ROWS[4:7])
    return store


def test_what_was_written_is_read_by_key() -> None:
    filled()
    assert plain(Store(MODEL, "cpu").read(KEYS)) == expected(range(7))
    assert plain(Store(MODEL, "cpu").read(KEYS[5:])) == expected(range(5, 7))


def test_an_empty_store_holds_nothing() -> None:
    assert Store(MODEL, "cpu").read(KEYS) == {}


@pytest.mark.parametrize(
    "change", [{"sha256": "1" * 64}, {"size": 224}, {"mean": (0.0, 0.0, 0.0)}, {"name": "timm:test_vit2"}]
)
def test_features_of_another_model_are_elsewhere(change: dict[str, object]) -> None:
    filled()
    assert Store(replace(MODEL, **change), "cpu").read(KEYS) == {}  # type: ignore[arg-type]


def test_features_of_another_device_are_elsewhere_and_those_of_the_same_weights_are_not() -> None:
    filled()
    assert Store(MODEL, "cuda: A").read(KEYS) == {}
    moved = replace(MODEL, file=Path("other.safetensors"), given=True, licence="not stated")
    assert plain(Store(moved, "cpu").read(KEYS)) == expected(range(7))


def test_changed_features_of_the_program_are_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Store(replace(MODEL, name="clusterkit:characters"), "cpu")
    other = filled()
    with own.held():
        own.write(KEYS, ROWS)
    assert plain(Store(own.model, "cpu").read(KEYS)) == expected(range(10))
    text = Path(own_models.__file__).read_text()
    changed = tmp_path / "own_models.py"
    changed.write_text(text.replace(f"MOST = {own_models.MOST}", f"MOST = {own_models.MOST + 1}"))
    assert changed.read_text() != text
    monkeypatch.setattr(own_models, "__file__", str(changed))
    assert Store(own.model, "cpu").read(KEYS) == {}
    assert Store(MODEL, "cpu").folder == other.folder


def test_a_damaged_part_counts_as_missing_and_is_made_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "clusterkit")
    store = filled()
    first, second = sorted(store.folder.glob("*.rows"))
    for path, numbers in ((first, range(7)), (second, range(7))):
        data = path.read_bytes()
        spoilt = [data[:length] for length in range(0, len(data), 13)]
        spoilt += [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(0, len(data), 7)]
        spoilt += [data + b"x", data.replace(b"ckrows1", b"ckrows9")]
        for content in spoilt:
            path.write_bytes(content)
            found = plain(store.read(KEYS))
            assert found.items() < expected(numbers).items()
            assert not path.exists()
            path.write_bytes(data)
    assert "damaged, so its features are made again" in caplog.text
    assert plain(store.read(KEYS)) == expected(range(7))


def test_a_damaged_part_that_cannot_be_removed_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled()
    path = min(store.folder.glob("*.rows"))
    path.write_bytes(path.read_bytes()[:-1])

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refused)
    assert 0 < len(store.read(KEYS)) < 7


def test_a_folder_that_cannot_be_made_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "clusterkit")
    cache_folder().parent.mkdir()
    cache_folder().write_text("no folder")
    store = Store(MODEL, "cpu")
    with store.held():
        assert store.read(KEYS) == {}
        store.write(KEYS, ROWS)
        store.write(KEYS, ROWS)
    [message] = [record.getMessage() for record in caplog.records]
    assert message.endswith("cannot keep features there (Not a directory); every command embeds the pictures again")
    assert cache_folder().read_text() == "no folder"


@pytest.mark.parametrize("full", ["free", "write"])
def test_a_full_disk_is_said_once(full: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "clusterkit")
    store = filled()
    if full == "free":
        usage = shutil.disk_usage(".")._replace(free=1000)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
        reason = "less than 1.07 GB of the disk are free"
    else:

        def refused(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", refused)
        reason = "No space left on device"
    store.write(KEYS[7:], ROWS[7:])
    store.write(KEYS[7:], ROWS[7:])
    assert caplog.text.count(f"cannot keep features there ({reason})") == 1
    assert len(list(store.folder.iterdir())) == 4
    assert plain(store.read(KEYS)) == expected(range(7))


def hold(pipe: Connection) -> None:
    store = Store(MODEL, "cpu")
    with store.held():
        pipe.send("held")
        pipe.recv()
        store.write(KEYS[:4], ROWS[:4])


@pytest.fixture
def other() -> Iterator[tuple[multiprocessing.Process, Connection]]:
    """Another process that holds the store until it is told to write and end."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=hold, args=(theirs,))
    process.start()
    assert ours.recv() == "held"
    yield process, ours  # type: ignore[misc]
    process.kill()
    process.join()


def test_a_second_command_waits_and_finds_the_features_of_the_first(
    other: tuple[multiprocessing.Process, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pipe = other
    messages = []

    def told(text: str, *values: object) -> None:
        messages.append(text % values)
        pipe.send("go on")

    monkeypatch.setattr("clusterkit.console.log.info", told)
    with Store(MODEL, "cpu").held():
        assert plain(Store(MODEL, "cpu").read(KEYS)) == expected(range(4))
    assert messages == ["another command embeds pictures by timm:test_vit; waiting for its features"]


def test_a_command_that_was_killed_blocks_nobody(other: tuple[multiprocessing.Process, Connection]) -> None:
    process, _ = other
    process.kill()
    process.join()
    start = time.monotonic()
    with Store(MODEL, "cpu").held():
        assert time.monotonic() - start < 5
