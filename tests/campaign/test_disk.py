"""Let each write of each command fail once: one line says so, and what was there before is there still."""

import functools
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaign.harness import ERRORS, Changes, call, chance_of, failing, snapshot, walk
from tests.campaign.stories import STORIES, Story, as_kept, begun, undo_folders, whole

pytestmark = pytest.mark.campaign
FAILURES = 12
LIMITS = 6


def limited(size: int) -> None:
    """Let no file of this process grow beyond so many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def check_after(story: Story, place: Path, code: int, files: dict[str, str], before: dict[str, str]) -> None:
    after = as_kept(place)
    if code == 0:
        assert after == files
    strange = {path for path in {*before, *after} if after.get(path) not in (before.get(path), files.get(path))}
    assert not strange
    left = {path for path in snapshot(place) if Path(path).name.endswith((".tmp", ".old"))}
    assert not left
    undo_folders(place)
    call(story.again).check(0)
    assert as_kept(place) == files


@pytest.mark.parametrize("number", range(FAILURES))
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_change_fails(story: Story, number: int, made: Path, tmp_path: Path) -> None:
    place, before, files = begun(story, made, tmp_path)
    _, changes, _ = whole(story, made)
    chance = chance_of("disk", story.name, number)
    done = call(story.line, Changes(place, chance.randint(1, changes), failing(chance.choice(ERRORS)))).check(0, 3)
    check_after(story, place, done.code, files, before)


@pytest.mark.parametrize("number", range(LIMITS))
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_no_room(story: Story, number: int, made: Path, tmp_path: Path) -> None:
    place, before, files = begun(story, made, tmp_path)
    chance = chance_of("room", story.name, number)
    sizes = [path.stat().st_size for path in (made / story.name / "run").rglob("*") if path.is_file()]
    size = chance.choice([0, 1, chance.randrange(max(sizes)), chance.choice(sizes) - 1])
    done = call(story.line, functools.partial(limited, max(size, 0))).check(0, 3)
    check_after(story, place, done.code, files, before)


def room_of(folder: Path) -> int:
    """The bytes that a folder takes where every file takes whole pages."""
    page = resource.getpagesize()
    return sum(-(-path.lstat().st_size // page) * page for path in walk(folder))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted: {done.stderr.strip()}")
    yield place
    os.chdir(tmp_path)
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("number", range(LIMITS))
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_small_disk(story: Story, number: int, made: Path, disk: Path) -> None:
    place, before, files = begun(story, made, disk)
    room = chance_of("disk of its own", story.name, number).randrange(room_of(made / story.name / "run"))
    resize = ["mount", "-o", f"remount,size={room_of(place) + room}", str(disk)]
    subprocess.run(resize, check=True)
    # Some commands know before they begin how much they will write, and name the flag that would make it less.
    done = call(story.line).check(0, 2, 3)
    subprocess.run([*resize[:2], "remount,size=50%", str(disk)], check=True)
    check_after(story, place, done.code, files, before)
