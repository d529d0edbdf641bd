"""Change artifacts of every format: no traceback, no success in silence, not much more memory or time than the intact.

A changed byte is found. A header or values that were changed on purpose, with a digest that is right again, may be read
if they still mean something, but the command must end as it ends on any input.
"""

import functools
import json
import operator
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusterkit.artifacts.header import canonical
from tests.campaign.harness import Done, call, chance_of, copied
from tests.campaign.mutations import closed, mutated, opened
from tests.campaign.stories import (
    BACKBONE,
    CLUSTERED,
    EMBEDDED,
    G_OF_POINTS,
    KMEANS,
    PHOTOS,
    PRETRAINED,
    WORK,
    inside,
    prepare_with,
)

pytestmark = pytest.mark.campaign
TRIALS = 60
EACH = 12
"""Mutations in one trial."""
ROOM, MOMENT = 60 * 10**6, 1.0
"""Bytes beyond what the intact file takes, and seconds beyond three times what it takes."""

MADE = (
    G_OF_POINTS,
    "self-train synthetic:blobs --rounds 1",
    "predict-pairs synthetic:blobs",
    CLUSTERED,
    "estimate-k",
    "evaluate",
    PRETRAINED,
    "adapt synthetic:blobs synthetic:blobs --method ccn+ --backbone mlp --steps 2",
    "train-critic synthetic:blobs synthetic:moons --few",
    f"train-g folder:labelled {BACKBONE} --workdir photos-out",
    f"{EMBEDDED} --workdir photos-out",
    f"predict-pairs {PHOTOS} --flat --workdir photos-out",
    f"{KMEANS} --workdir photos-out",
    "assign synthetic:blobs",
)
TO_K = "cluster synthetic:blobs --k auto --epochs 1 --backbone mlp --pairs pairs.h5"
READERS = {
    f"{WORK}/g.safetensors": [
        "predict-pairs synthetic:blobs",
        "evaluate synthetic:blobs --g g.safetensors --episodes 2",
        "self-train synthetic:blobs --rounds 1",
        "train-g synthetic:blobs --init g.safetensors --epochs 1",
        "cluster synthetic:blobs --k 5 --method kmeans --features g",
    ],
    f"{WORK}/pairs.h5": [
        "cluster --k 5 --epochs 1 --backbone mlp",
        "cluster --k 5 --method spectral",
        "cluster --method consensus --k 5",
        "estimate-k",
        "report",
    ],
    f"{WORK}/assignments.h5": ["evaluate", "estimate-k", "report", "report --truth"],
    f"{WORK}/ccn.safetensors": ["assign synthetic:blobs --unknown", "report", "inspect FILE --history"],
    f"{WORK}/k.json": [TO_K, "cluster synthetic:blobs --k auto --method kmeans", "report"],
    f"{WORK}/evaluation.json": ["inspect FILE --json"],
    f"{WORK}/pretrained.safetensors": [
        "cluster synthetic:blobs --method dec --k 5 --epochs 1",
        "assign synthetic:blobs --model pretrained.safetensors",
        "train-g synthetic:blobs --init pretrained.safetensors --epochs 1",
    ],
    f"{WORK}/adapted.safetensors": ["assign synthetic:blobs --model adapted.safetensors"],
    f"{WORK}/adapted.h5": ["report --assignments adapted.h5", "evaluate --assignments adapted.h5"],
    f"{WORK}/assigned.h5": ["evaluate --assignments assigned.h5", "report --assignments assigned.h5"],
    f"{WORK}/critic.safetensors": [
        "evaluate --critic critic.safetensors",
        "cluster synthetic:blobs@0-3 --method c2m --k 6",
    ],
    f"{WORK}/self-trained.safetensors": ["predict-pairs synthetic:blobs --g self-trained.safetensors"],
    "photos-out/features.h5": [
        f"{KMEANS} --workdir photos-out",
        f"cluster {PHOTOS} --flat --skip-bad --features features.h5 --method consensus --k 3 --workdir photos-out",
        "report --workdir photos-out",
    ],
    "photos-out/g.safetensors": [
        f"predict-pairs {PHOTOS} --flat --skip-bad --workdir photos-out",
        f"cluster {PHOTOS} --flat --skip-bad --method skms --workdir photos-out",
    ],
}


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("artifacts") / "start"
    prepare_with(MADE, place)
    return place


@functools.cache
def intact(line: str, start: Path) -> Done:
    """What a command takes on the intact files."""
    place = copied(start, start.parent / "intact")
    inside(place)
    done = call(line)
    shutil.rmtree(place)
    return done.check(0)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("number", range(TRIALS))
def test_changed(name: str, number: int, start: Path, tmp_path: Path) -> None:
    chance = chance_of("artifacts", name, number)
    place = copied(start, tmp_path / "run")
    inside(place)
    faults = []
    for trial in range(EACH):
        shutil.copy(start / name, place / name)
        before = (place / name).read_bytes()
        change = mutated(place / name, (start / chance.choice(list(READERS))).read_bytes(), chance)
        line = chance.choice([*READERS[name], "inspect FILE"]).replace("FILE", name)
        usual = intact(line, start)
        done = call(line)
        try:
            same = content_of((place / name).read_bytes()) == content_of(before)
            done.check(0, 2, 3, 4)
            is_told = done.code == 3 or Path(name).name in done.err
            assert same or is_told or not change.startswith("bytes"), "success in silence"
            assert done.peak <= usual.peak + ROOM, f"{done.peak} bytes, usually {usual.peak}"
            assert done.seconds <= 3 * usual.seconds + MOMENT, f"{done.seconds} s, usually {usual.seconds}"
        except AssertionError as fault:
            faults.append(f"{name} {number}.{trial}: {change}: {line}: {fault}")
        if not line.startswith("inspect"):
            restore(start, place)
    assert not faults, "\n\n".join(faults)


@pytest.mark.parametrize("name", READERS)
def test_every_member_of_a_header(name: str, start: Path, tmp_path: Path) -> None:
    """Each member is removed, or has another value, and every reader reads it."""
    place = copied(start, tmp_path / "run")
    inside(place)
    faults = []
    header, _ = opened(start / name)
    for path in members_of(header):
        for value in (GONE, chance_of("members", name, path).choice(["x", 3, None])):
            header, values = opened(start / name)
            *outer, last = path
            inner = functools.reduce(operator.getitem, outer, header)
            if value is GONE:
                del inner[last]
            else:
                inner[last] = value
            for line in READERS[name]:
                closed(place / name, header, values)
                try:
                    call(line.replace("FILE", name)).check(0, 2, 3, 4)
                except AssertionError as fault:
                    faults.append(f"{name}: {path} is {value}: {line}: {fault}")
                restore(start, place)
    assert not faults, "\n\n".join(faults)


GONE = object()


def members_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all members of JSON down to the fourth level, of lists the first entry."""
    keys = list(value) if isinstance(value, dict) else range(min(1, len(value)))
    for key in keys:
        if key in ("history", "versions"):
            continue
        yield (*path, key)
        if len(path) < 3 and isinstance(value[key], dict | list):
            yield from members_of(value[key], (*path, key))


def content_of(data: bytes) -> str | bytes:
    """What a file says: of JSON, the text does not matter, such as a line break at its end."""
    try:
        return canonical(json.loads(data))
    except ValueError:
        return data


def restore(start: Path, place: Path) -> None:
    """Undo what a command wrote."""
    for folder in (WORK, "photos-out"):
        shutil.rmtree(place / folder)
        copied(start / folder, place / folder)
