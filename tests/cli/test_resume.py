import io
import itertools
import os
import random
import shutil
import signal
import sys
from pathlib import Path

import pytest

from clusterkit import training
from clusterkit.__main__ import main
from clusterkit.artifacts.files import sha256
from clusterkit.pairs import from_file, tile_log, tiles
from clusterkit.stages import predict_pairs
from tests.conftest import once

SOME = "@12-27,40-47"
COMMANDS = {
    "train-g glyphs_bg@0-11 --size 16 --backbone lenet --hidden 16 --epochs 8 --members 2 --variation strong": (
        ".g.safetensors.state"
    ),
    f"cluster glyphs_eval{SOME} --k 25 --epochs 6 --backbone mlp": ".assignments.h5.state",
    f"cluster glyphs_eval{SOME} --k 25 --init g --epochs 8 --batch-size 40": ".assignments.h5.state",
    f"cluster glyphs_eval{SOME} --k 25 --epochs 3 --backbone mlp --rounds 2": ".assignments.h5.state",
    f"adapt glyphs_eval/Morwen{SOME} glyphs_eval/Morwen{SOME} --method ccn++ --steps 200 --backbone mlp "
    "--target-batch 8": ".adapted.h5.state",
    "self-train synthetic:blobs --g sure.safetensors --rounds 8": ".self-trained.safetensors.state",
}
OUTPUTS = (
    "g.safetensors",
    "assignments.h5",
    "ccn.safetensors",
    "adapted.h5",
    "adapted.safetensors",
    "self-trained.safetensors",
)


class Fuse(io.StringIO):
    """What a process says, until it has said a word: then it ends, as kill -9 ends it, or gets a signal."""

    def __init__(self, path: Path, word: str, wait: float | None) -> None:
        super().__init__()
        self.path, self.word, self.wait = path, word, wait

    def write(self, text: str) -> int:
        with self.path.open("a") as file:
            file.write(text)
        if self.word in text:
            if self.wait is None:
                os.kill(os.getpid(), signal.SIGINT)
            else:
                # Nobody handles it, so the system ends the process after so much work, however busy the machine is.
                signal.setitimer(signal.ITIMER_VIRTUAL, max(self.wait, 1e-6))
        return len(text)


def cut_short(line: str, log: Path, word: str, wait: float | None = 0) -> int:
    """Run a command in a process of its own and end it; return its exit code, or minus the signal's number."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stderr = Fuse(log, word, wait)
    training.APART = 0.0
    os._exit(main(line.split()))


KILLED = -signal.SIGVTALRM


def hashes(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / name) for name in OUTPUTS if (folder / name).exists()}


@pytest.fixture(scope="module")
def start_folder(letters_made: Path, points_made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """G and pairs only, and a G that is sure of its pairs."""

    def make(folder: Path) -> None:
        shutil.copytree(letters_made, folder)
        for name in ("assignments.h5", "ccn.safetensors"):
            (folder / name).unlink()
        shutil.copy(points_made / "g.safetensors", folder / "sure.safetensors")
        assert main(f"predict-pairs glyphs_eval{SOME} --quiet --workdir {folder}".split()) == 0

    return once(tmp_path_factory, "start", make)


@pytest.fixture(scope="module")
def whole(start_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The outputs of each command, uninterrupted."""

    def make(folder: Path) -> None:
        for number, line in enumerate(COMMANDS):
            shutil.copytree(start_folder, folder / str(number))
            assert main([*line.split(), "--quiet", "--workdir", str(folder / str(number))]) == 0

    made = once(tmp_path_factory, "whole", make)
    return {line: hashes(made / str(number)) for number, line in enumerate(COMMANDS)}


@pytest.fixture
def work(start_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(start_folder, tmp_path / "clusterkit-out"))


@pytest.mark.parametrize("line", COMMANDS)
def test_equal_runs_give_equal_bytes(line, work, whole, cli):
    assert cli(line).code == 0
    assert hashes(work) == whole[line]
    assert sorted(path.name for path in work.iterdir()) == sorted(
        {*whole[line], "g.safetensors", "pairs.h5", "sure.safetensors"}
    )


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("line", COMMANDS)
def test_a_killed_run_resumed_gives_equal_bytes(line, seed, work, whole, cli, tmp_path):
    before = hashes(work)
    log, chance = tmp_path / "log", random.Random(seed)
    word = "epoch 1/2" if line.startswith("adapt") else f"epoch {chance.randint(1, 3)}/"
    assert cut_short(line, log, word, chance.uniform(0, 0.02)) == KILLED
    assert hashes(work) == before
    state = work / COMMANDS[line]
    assert list(state.glob("*.safetensors"))
    done = cli(f"{line} --resume")
    assert done.code == 0
    assert "resumed after epoch" in done.err
    assert hashes(work) == whole[line]
    assert not state.exists()


def test_a_run_killed_between_subsets(work, whole, cli, tmp_path):
    line = next(line for line in COMMANDS if line.startswith("cluster"))
    log = tmp_path / "log"
    assert cut_short(line, log, "Ostrava: epoch 2/") == KILLED
    done = cli(f"{line} --resume")
    assert "cluster Morwen: resumed after epoch 6" in done.err
    assert "cluster Morwen: epoch" not in done.err
    assert hashes(work) == whole[line]


def test_an_interrupted_run_exits_with_130_and_resumes(work, whole, cli, tmp_path):
    line = next(line for line in COMMANDS if line.startswith("train-g"))
    log = tmp_path / "log"
    before = hashes(work)
    assert cut_short(line, log, "epoch 2/", None) == 130
    said = log.read_text().splitlines()
    assert "clusterkit: error: interrupted" in said[-1]
    assert not any("Traceback" in text for text in said)
    assert hashes(work) == before
    assert cli(f"{line} --resume").code == 0
    assert hashes(work) == whole[line]


@pytest.fixture
def cut(work: Path, cli: object, tmp_path: Path) -> str:
    """An interrupted training: its command."""
    line = next(line for line in COMMANDS if line.startswith("train-g"))
    assert cut_short(line, tmp_path / "log", "epoch 2/") == KILLED
    return line


def test_other_settings_are_refused(cut, work, cli):
    for other in ("--seed 1", "--learning-rate 0.01", "--hidden 8", "--epochs 9"):
        done = cli(f"{cut} --resume {other}")
        assert (done.code, done.out) == (3, "")
        last = done.err.splitlines()[-1]
        assert "clusterkit-out/.g.safetensors.state/g.safetensors: the state of a run with other settings" in last
        assert "start again without --resume" in last


def test_a_damaged_state_is_refused_and_can_be_left(cut, work, whole, cli):
    state = work / ".g.safetensors.state" / "g.safetensors"
    data = state.read_bytes()
    for spoilt in (b"", data[:1000], data[:-1], data[:-50] + bytes([data[-50] ^ 1]) + data[-49:], b"x" * 99):
        state.write_bytes(spoilt)
        done = cli(f"{cut} --resume")
        assert (done.code, done.out) == (3, "")
        assert "without --resume" in done.err.splitlines()[-1]
    done = cli(cut)
    assert done.code == 0
    assert "discarding the state of an interrupted run" in done.err
    assert hashes(work) == whole[cut]


def test_resume_where_nothing_was_interrupted(work, whole, cli):
    line = next(line for line in COMMANDS if line.startswith("train-g"))
    done = cli(f"{line} --resume")
    assert done.code == 0
    assert "no interrupted run to resume" in done.err
    assert hashes(work) == whole[line]


def test_pairs_of_a_large_set_go_on_where_they_were_left(work, cli, monkeypatch):
    line = f"predict-pairs glyphs_eval{SOME}"
    for place in (tiles, from_file):
        monkeypatch.setattr(place, "SIZE", 64)
    assert cli(line).code == 0
    whole = sha256(work / "pairs.h5")
    monkeypatch.setattr(predict_pairs, "DENSE_LIMIT", 100)
    (work / "pairs.h5").write_bytes(b"what was there before")

    def interrupted(pairs, wanted, change):
        yield from itertools.islice(tiles.tiles(pairs, wanted, change), 4)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tile_log, "tiles", interrupted)
        assert cli(line).code == 130
    assert (work / "pairs.h5").read_bytes() == b"what was there before"
    other = cli(f"{line} --resume --bn source")
    assert (other.code, other.out) == (3, "")
    assert "start again without --resume" in other.err.splitlines()[-1]
    left = []

    def watched(pairs, wanted, change):
        left.append(len(wanted))
        return tiles.tiles(pairs, wanted, change)

    monkeypatch.setattr(tile_log, "tiles", watched)
    assert cli(f"{line} --resume").code == 0
    assert left == [2, 6, 6]
    assert sha256(work / "pairs.h5") == whole
    assert not (work / ".pairs.h5.state").exists()
