"""Call every command with random flags on small sets: it ends with 0, 2, 3 or 4, and one line explains each error."""

import random
import shlex
import signal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import typer.main

from clusterkit.cli import app
from clusterkit.losses import Loss
from tests.campaign.harness import call, chance_of, copied
from tests.campaign.stories import (
    BACKBONE,
    CLUSTERED,
    EMBEDDED,
    G_OF_POINTS,
    KMEANS,
    PHOTOS,
    PRETRAINED,
    inside,
    prepare_with,
    vectors,
)

pytestmark = pytest.mark.campaign
TRIALS = 60
EACH = 6
SECONDS = 60
"""A command that takes longer is ended and not judged."""
COMMANDS = {name: command for name, command in typer.main.get_command(app).commands.items() if name != "reproduce"}  # type: ignore[attr-defined]

SETS = (
    "synthetic:blobs", "synthetic:moons", "synthetic:blobs@0-3", "glyphs_eval@12-15", "glyphs_bg@0-11", "digits@0-1",
    PHOTOS, "folder:labelled", "folder:labelled@0-2", "arrays:own.npz", "features:own.npz", "blobs_bg/set00",
    "omniglot_bg",
)  # fmt: skip
SMALL = {
    "epochs": (1, 2), "rounds": (1, 2), "steps": (1, 3), "hidden": (4, 16), "members": (1, 2), "size": (8, 40),
    "episodes": (1, 5), "batch_size": (2, 64), "warm_up": (0, 3),
}  # fmt: skip
"""Ranges of numbers that decide how long a command takes."""
NUMBERS = (0, 1, 2, 3, 5, 0.5, 0.01, 1.5, -1, 1e9, "nan", "x", "")
WORDS: dict[str, tuple[str, ...]] = {
    "k": ("2", "3", "5", "10", "auto", "known", "1", "1000000", "x"),
    "backbone": ("mlp", "lenet", "conv4", "identity", "dec", "clusterkit:characters", "timm:nothing", "vgg-fast"),
    "pairs": ("pairs.h5", "labels", "constraints", "simulated:0.9,0.9", "simulated:1", "missing.h5", "g.safetensors"),
    "features": ("g", "pixels", "ccn", "features.h5", "own.npz", "pretrained.safetensors", "missing.h5", "pairs.h5"),
    "init": ("random", "g", "pretrained.safetensors", "g.safetensors", "k.json", "missing"),
    "g": ("g.safetensors", "characters", "clusterkit:characters", "missing", "pairs.h5"),
    "model": ("ccn.safetensors", "pretrained.safetensors", "g.safetensors", "missing"),
    "assignments": ("assignments.h5", "pairs.h5", "missing.h5"),
    "critic": ("critic.safetensors", "g.safetensors", "missing"),
    "loss": tuple(Loss),
    "labels": ("labels.txt", "own.npz", "missing.csv", "photos"),
    "constraints": ("constraints.csv", "missing.csv", "own.npz"),
    "examples": ("examples.csv", "missing.csv", "constraints.csv"),
    "weights": ("own.npz", "missing.safetensors"),
    "fail_under": ("acc=0.1", "acc=1.1", "nmi=0.99", "x"),
    "source": ("synthetic:moons", "folder:labelled", "glyphs_bg@0-3", "missing"),
    "like": ("folder:labelled", "synthetic:blobs", "missing"),
    "probe": ("synthetic:moons@0", "synthetic:blobs@0,1", "x"),
    "folders": ("found", "photos", "."),
    "plot": ("picture.png", "x", "photos"),
    "subset": ("all", "Morwen", "x"),
    "recipe": ("best", "paper"),
}
MADE = (
    G_OF_POINTS, "predict-pairs synthetic:blobs", CLUSTERED, "estimate-k", "evaluate", PRETRAINED,
    "train-critic synthetic:blobs synthetic:moons --few", f"{EMBEDDED} --workdir photos-out",
    f"{KMEANS} --workdir photos-out",
)  # fmt: skip


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("flags") / "start"
    prepare_with((*MADE, f"train-g folder:labelled {BACKBONE} --workdir photos-out"), place)
    vectors(place / "own.npz")
    (place / "clusterkit-out" / "features.h5").write_bytes((place / "photos-out" / "features.h5").read_bytes())
    (place / "constraints.csv").write_text("0,1,must-link\n0,2,cannot-link\n")
    (place / "examples.csv").write_text("0,a\n1,a\n2,b\n")
    (place / "labels.txt").write_text("\n".join(str(number % 3) for number in range(60)) + "\n")
    return place


def value_of(parameter: Any, chance: random.Random) -> str:
    """A value of a flag: mostly one that it allows."""
    name = parameter.name
    if name in SMALL:
        return str(chance.randint(*SMALL[name]))
    if name in WORDS:
        return chance.choice(WORDS[name])
    kind = parameter.type_descriptor.annotation
    choices = list(kind) if isinstance(kind, type) and issubclass(kind, Enum) else choices_in(parameter.metavar)
    if choices and chance.random() < 0.95:
        return str(chance.choice(choices))
    return str(chance.choice([*range(8), *NUMBERS] if kind is int else NUMBERS))


def choices_in(metavar: str | None) -> list[str]:
    return metavar.strip("[]").split("|") if metavar and metavar.startswith("[") else []


LEFT = {"help", "few", "workdir", "data", "device", "seed", "offline", "debug", "install_completion", "show_completion"}
"""Flags that say where and how a command runs."""


def words_of(name: str, chance: random.Random) -> list[str]:
    """A line of a command: arguments, some of its flags, and those that keep it small."""
    words = [name, "--few"] if name == "train-critic" else [name]
    flags = {}
    for parameter in COMMANDS[name].params:
        if parameter.name in LEFT:
            continue
        if parameter.param_type_name == "argument":
            if parameter.required or chance.random() < 0.5:
                words.append(file_of(chance) if name == "inspect" else chance.choice(SETS))
        elif parameter.name in ("epochs", "steps") and chance.random() < 0.9:
            flags[parameter.opts[0]] = value_of(parameter, chance)
        elif chance.random() < 4 / len(COMMANDS[name].params):
            flags[parameter.opts[0]] = None if parameter.is_flag else value_of(parameter, chance)
    for flag, value in flags.items():
        words += [flag] if value is None else [flag, value]
    return words


def file_of(chance: random.Random) -> str:
    return f"clusterkit-out/{chance.choice(['g.safetensors', 'pairs.h5', 'k.json', 'ccn.safetensors', 'missing'])}"


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"demo", "datasets"}))
@pytest.mark.parametrize("number", range(TRIALS))
def test_flags(name: str, number: int, start: Path, tmp_path: Path) -> None:
    chance = chance_of("flags", name, number)
    place = copied(start, tmp_path / "run")
    inside(place)
    faults = []
    for _ in range(EACH):
        words = [*words_of(name, chance), "--offline"]
        if chance.random() < 0.3 and name != "inspect":
            words += ["--workdir", chance.choice(["photos-out", "new-out"])]
        done = call(words, kill_after=SECONDS)
        if done.code == -signal.SIGKILL:
            continue  # not a small set to this command
        try:
            done.check(0, 2, 3, 4)
        except AssertionError as fault:
            faults.append(f"{shlex.join(words)}\n{fault}")
    assert not faults, "\n\n".join(faults)
