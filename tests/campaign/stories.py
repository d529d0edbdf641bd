"""Every command that writes, on a small set, in a folder where an earlier run has left its files."""

import functools
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.campaign.harness import call, copied, counted, shown, snapshot
from tests.photographer import COPIES, build, build_labelled

WORK = "clusterkit-out"
LETTERS = "glyphs_eval@12-27,40-47"
PHOTOS = "folder:photos"
BACKBONE = "--backbone clusterkit:characters"


@dataclass(frozen=True)
class Story:
    """A command line; the lines that make what it reads; whether it has --resume; and what its earlier run changed."""

    name: str
    line: str
    before: tuple[str, ...] = ()
    resumes: bool = False
    earlier: str = "--seed 1"

    @property
    def again(self) -> str:
        """The command to repeat after an interruption."""
        return f"{self.line} --resume" if self.resumes else self.line


G_OF_POINTS = "train-g synthetic:blobs --backbone mlp --hidden 32 --epochs 30 --learning-rate 0.01"
G_OF_LETTERS = "train-g glyphs_bg@0-11 --size 16 --backbone lenet --hidden 16 --epochs 2"
PAIRS_OF_LETTERS = f"predict-pairs {LETTERS}"
CLUSTERED = "cluster --k 10 --epochs 3 --backbone mlp"
EMBEDDED = f"embed {PHOTOS} --flat --skip-bad {BACKBONE}"
KMEANS = f"cluster {PHOTOS} --flat --skip-bad --features features.h5 --method kmeans --k 3"
PRETRAINED = "pretrain synthetic:blobs --backbone mlp --epochs 3"

STORIES = (
    Story("train-g", f"{G_OF_LETTERS} --members 2", resumes=True),
    Story("train-metric", f"train-g folder:labelled {BACKBONE}"),
    Story("self-train", "self-train synthetic:blobs --rounds 4", (G_OF_POINTS,), resumes=True),
    Story("embed", EMBEDDED, (f"embed folder:labelled {BACKBONE}",), earlier=""),
    Story("predict-pairs", PAIRS_OF_LETTERS, (G_OF_LETTERS,), resumes=True),
    Story("cluster", f"cluster {LETTERS} --k 25 --epochs 3 --backbone mlp", (G_OF_LETTERS, PAIRS_OF_LETTERS), True),
    Story("cluster-rounds", f"{CLUSTERED} --rounds 2", (G_OF_POINTS, "predict-pairs synthetic:blobs"), True),
    Story("cluster-kmeans", KMEANS, (EMBEDDED,)),
    Story("cluster-dec", "cluster synthetic:blobs --method dec --k 5 --epochs 4", (PRETRAINED,), True),
    Story("estimate-k", "estimate-k", (G_OF_POINTS, "predict-pairs synthetic:blobs", CLUSTERED), earlier=""),
    Story("evaluate", "evaluate", (G_OF_POINTS, "predict-pairs synthetic:blobs", CLUSTERED), earlier=""),
    Story(
        "assign",
        "assign synthetic:blobs --unknown",
        (G_OF_POINTS, "predict-pairs synthetic:blobs", CLUSTERED),
        earlier="--subset all",
    ),
    Story("pretrain", PRETRAINED, resumes=True),
    Story(
        "adapt",
        "adapt synthetic:blobs synthetic:blobs --method ccn+ --backbone mlp --steps 40",
        (G_OF_POINTS, "predict-pairs synthetic:blobs"),
        True,
    ),
    Story("train-critic", "train-critic synthetic:blobs synthetic:moons --few"),
    Story("report", "report --folders found", (EMBEDDED, KMEANS), earlier=""),
    Story("report-move", "report --folders found --by move", (EMBEDDED, KMEANS), earlier=""),
    Story("discover", f"discover {PHOTOS} {BACKBONE} --k 3 --folders found", earlier=""),
    Story("discover-like", f"discover {PHOTOS} {BACKBONE} --like folder:labelled", earlier=""),
)


def prepare(story: Story, place: Path) -> None:
    """Make the folder in which a story begins."""
    lines = [*story.before, *([f"{story.line} {story.earlier}"] if story.earlier else [])]
    prepare_with(lines, place, with_pictures="folder:" in story.line)


def prepare_with(lines: Sequence[str], place: Path, with_pictures: bool = False) -> None:
    """Make a folder, with pictures if they are wanted or lines read some, and run the lines there."""
    place.mkdir(parents=True)
    if with_pictures or any("folder:" in line for line in lines):
        build(place / "photos", each=1)
        shutil.rmtree(place / "photos" / "broken")
        # A link by its whole path would leave the copies of the folder.
        (place / "photos" / COPIES / "soft.jpg").unlink()
        build_labelled(place / "labelled", each=4)
    run(place, *lines)


def undo_folders(place: Path) -> None:
    """Do what a message asks for before `--folders found` is repeated: move the pictures back and remove the folder."""
    found = place / "found"
    if (found / "undo.sh").exists():
        subprocess.run(["sh", str(found / "undo.sh")], check=True)
    shutil.rmtree(found, ignore_errors=True)


def run(place: Path, *lines: str) -> None:
    """Run commands to their ends, in a folder that has a cache of its own."""
    inside(place)
    for line in lines:
        call(f"{line} --quiet").check(0)


def inside(place: Path) -> None:
    """Change into a folder, and keep the cache there, where a trial sees and copies it."""
    os.chdir(place)
    os.environ["XDG_CACHE_HOME"] = str(place / "cache")


def vectors(place: Path, count: int = 60) -> None:
    """Write vectors of three groups, with their classes."""
    rng = np.random.default_rng(0)
    y = np.arange(count) % 3
    np.savez(place, x=(3 * np.eye(3, 6)[y] + rng.normal(size=(count, 6))).astype("f4"), y=y)


def start_of(story: Story, made: Path) -> Path:
    place = made / story.name / "start"
    if not place.exists():
        prepare(story, place)
    return place


@functools.cache
def whole(story: Story, made: Path) -> tuple[dict[str, str], int, float]:
    """The files after an uninterrupted run, how often it changes a folder, and its seconds."""
    place = copied(start_of(story, made), made / story.name / "run")
    inside(place)
    done, changes = counted(story.line, place)
    done.check(0)
    again = copied(start_of(story, made), made / story.name / "again")
    inside(again)
    call(story.line).check(0)
    files = as_kept(place)
    assert as_kept(again) == files, "two equal runs differ"
    return files, changes, done.wall


def begun(story: Story, made: Path, folder: Path) -> tuple[Path, dict[str, str], dict[str, str]]:
    """Begin a story in a folder, which becomes the current one.

    Return where, the files there, and those after an uninterrupted run.
    """
    files, _, _ = whole(story, made)
    place = copied(start_of(story, made), folder / "run")
    inside(place)
    return place, as_kept(place), files


def as_kept(place: Path) -> dict[str, str]:
    """The files of a folder, without those that are hidden and those of the cache."""
    return {path: content for path, content in shown(snapshot(place)).items() if not path.startswith("cache/")}
